"""Would the simulation notice a broken core? Mutants of it, each of which a few hundred schedules must find."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest

from budflow.execution import advance as core, settling, state, turn
from tests.execution.simulated_campaign import noticed_after, run_schedule, some_cases
from tests.execution.simulated_graphs import Case

SCHEDULES, CASES = 1_000, 500

pytestmark = pytest.mark.generated

HELD = "self._paused and not tidies_up(self._plan, self._controls, at)"


@dataclass(frozen=True)
class Mutant:
    """A piece of the core's source, and what stands there instead. `times`: how often it stands there."""

    name: str
    old: str
    new: str
    module: ModuleType = turn
    times: int = 1


MUTANTS = (
    Mutant("a join fires one edge early", "if tally.open:", "if tally.open > 1:", settling),
    Mutant("a join never fires", "if tally.open:", "if tally.open or node.edges_in > 1:", settling),
    Mutant("an empty port counts as delivered", "items is not None and items > 0", "items is not None", settling),
    Mutant("a dead port counts as empty", "tally.empty or items == 0", "tally.empty or not items", settling),
    Mutant("run_on_empty is forgotten", "(node.spec.run_on_empty or node.node.run_on_empty)", "False", settling),
    Mutant(
        "skipping does not spread",
        "ports.extend((targets, None) for targets in plan.nodes[skipped[-1]].targets)",
        "pass",
        settling,
    ),
    Mutant(
        "a node's end settles nothing",
        "zip(node.targets, counts, strict=True))",
        "())",
    ),
    Mutant("a late result counts", "if frame is None or at.node not in frame.running:", "if frame is None:"),
    Mutant("items at `$out` are miscounted", "out += items or 0", "out += 1", settling),
    Mutant("a finished body is not told", "ended=ended))\n        self._tell(at, event)", "ended=ended))"),
    Mutant("an open body is not counted", "frames=control.frames + 1", "frames=control.frames"),
    Mutant("a body's items are lost", "items = 0 if frame.stopping else frame.out", "items = 0"),
    Mutant("a stopped body tells its items", "stopped = frame.stopping and frame.failure is None", "stopped = False"),
    Mutant(
        "a failed body ends well",
        "n.BodyEnded(name, number, items, frame.failure, stopped)",
        "n.BodyEnded(name, number, items, None, stopped)",
    ),
    Mutant("rounds in one go: only the first is taken", "enumerate(counts)", "enumerate(counts[:1])"),
    Mutant("rounds in one go: a failure is passed over", "failure = failures.get(number)", "failure = None"),
    Mutant(
        "a second reason to stop a graph overwrites the first",
        "if not frame.stopping:\n            frame = frame._replace(stopping=True",
        "if True:\n            frame = frame._replace(stopping=True",
    ),
    Mutant(
        "a second reason to stop a node overwrites the first",
        "if control.stop is not None or s.END in control.asks:\n            return",
        "if s.END in control.asks:\n            return",
    ),
    Mutant(
        "what runs beside a failure runs on",
        "else:\n                    self._commands.append(s.CancelNode(at))",
        "else:\n                    pass",
    ),
    Mutant("bodies of a stopped node run on", "s.CancelNode(at))\n        self._stop_bodies(at)", "s.CancelNode(at))"),
    Mutant("`finally` does not run after a stop", "self._tell(at, n.Stopped())", "pass"),
    Mutant(
        "a stopped node ends before its bodies",
        "control.stop is None or control.busy or s.END",
        "control.stop is None or s.END",
    ),
    Mutant(
        "a node that was out of time is cancelled",
        "self._stop_control(at, failure)\n        elif cleanup",
        "self._stop_control(at, None)\n        elif cleanup",
    ),
    Mutant(
        "slow last bodies go on",
        "self._stop_bodies(at, last=True)",
        "self._paused = False",
    ),
    Mutant("a `finally` that has begun is stopped", "if last or self._plan.graphs", "if True or self._plan.graphs"),
    Mutant(
        "a pause holds up a `finally` that has begun",
        "self._release({one for one in self._held if is_inside(self._plan, one, frame_id)})",
        "pass",
    ),
    Mutant("a last body has no time limit", "self._commands.append(s.LimitLastBodies(at, self._now))", "pass"),
    Mutant(
        "an answer counts twice",
        "for k, ask in control.asks.items() if k != key}",
        "for k, ask in control.asks.items()}",
    ),
    Mutant(
        "a node settles over open bodies",
        "if control.busy:\n                    raise",
        "if False:\n                    raise",
    ),
    Mutant("calls that nobody awaits hold nothing up", "if key != s.END or not control.calling:", "if True:"),
    Mutant("a round begins twice", "if frame_id in self._frames or (last is not None", "if (last is not None"),
    Mutant(
        "parameters that cannot be evaluated are passed over",
        "if failure is not None:\n            self._stop_control(at, failure)",
        "if False:\n            self._stop_control(at, failure)",
    ),
    Mutant("a fault of a function is swallowed", "self._fail(at, Failure.of(error))", "pass"),
    Mutant("a pause is passed over", f"if {HELD}:", "if False:"),
    Mutant("a pause holds up `finally`", f"if {HELD}:", "if self._paused:"),
    Mutant("what was held back is not started", "for at in sorted(due)", "for at in sorted(due)[1:]"),
    Mutant("what was held back starts after a stop", "self._held -= held", "pass"),
    Mutant("the trigger fires twice", 'if self._phase != "new":', "if False:"),
    Mutant("a cancelled execution goes on", "if root is not None and not root.over:", "if False:"),
    Mutant("an execution that is over is cancelled", "if root is not None and not root.over:", "if root is not None:"),
    Mutant(
        "nodes of a round are lost at resume",
        "if at not in state.held:",
        "if at not in state.held and not at.rounds:",
        core,
    ),
    Mutant("what is held back starts at resume", "if at not in state.held:", "if True:", core),
    Mutant(
        "what was asked is lost at resume", "yield from (ask for key", "yield from (ask for key in () for key", core
    ),
    Mutant(
        "the time limit of a last body is lost at resume",
        "if control.stop.since is not None:",
        "if False:",
        core,
    ),
    Mutant("the end is lost at resume", "if frame_id == s.ROOT and frame.over:", "if False:", core),
    Mutant("something changes after the end", 'if state.phase == "ended":', "if False:", core),
    Mutant(
        "a graph is over while a node runs",
        "not self.running and (self.stopping or self.unsettled == 0)",
        "self.stopping or self.unsettled <= 1",
        state,
    ),
    Mutant("whatever happened, it succeeded", "if not root.stopping:", "if True:", state),
)


@functools.cache
def cases_for_all() -> list[Case]:
    return some_cases(CASES)


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mutant], None]:
    """Puts a mutant in the place of the core."""

    def put(mutant: Mutant) -> None:
        source = inspect.getsource(mutant.module)
        assert source.count(mutant.old) == mutant.times, "the mutation does not fit the core any more"
        made = ModuleType(mutant.module.__name__)
        exec(compile(source.replace(mutant.old, mutant.new), f"<{mutant.name}>", "exec"), made.__dict__)
        if mutant.module is settling:
            monkeypatch.setattr(turn, "settle", made.settle)
        elif mutant.module is turn:
            monkeypatch.setattr(core, "Turn", made.Turn)
        elif mutant.module is core:
            for name in ("advance", "fold", "resume"):
                monkeypatch.setattr(core, name, getattr(made, name))
        else:
            monkeypatch.setattr(state.Frame, "over", made.Frame.over)
            monkeypatch.setattr(state, "end_of", made.end_of)

    return put


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulation_notices(mutant: Mutant, mutate: Callable[[Mutant], None]) -> None:
    found = cases_for_all()
    mutate(mutant)
    assert noticed_after(found, run_schedule, SCHEDULES) is not None


def test_the_simulation_notices_nothing_where_nothing_is_wrong() -> None:
    assert noticed_after(cases_for_all(), run_schedule, SCHEDULES) is None
