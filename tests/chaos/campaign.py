"""A run of the chaos campaign over one fault: orders come in all the while, and one kill follows on the other."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.chaos import slots
from tests.chaos.faults import Fault, Struck
from tests.chaos.strike import Strike, hits_of
from tests.crash.load import PATIENT, Load, sending
from tests.crash.shape import Shape
from tests.crash.verdict import Verdict, judge

PER_SECOND = 4.0
#: Long enough that some executions are under way at any moment.
DELAYS = (0.3, 0.7, 1.5)
#: Between the moment at which all is up again and the next kill.
ALIVE_SECONDS = (1.0, 3.0)
STUCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one fault. `goal_seconds` is for the 99 in 100 of what was hit that went on soonest."""

    fault: str
    verdict: Verdict
    goal_seconds: float

    @property
    def p50_seconds(self) -> float | None:
        """Of the recoveries; None where nothing was hit."""
        return self._percentile(0.5)

    @property
    def p99_seconds(self) -> float | None:
        """The same."""
        return self._percentile(0.99)

    @property
    def faults(self) -> list[str]:
        """What is not as it must be; nothing where all is well."""
        found = [
            f"{self.fault}: {name} is {getattr(self.verdict, name)}"
            for name in ("lost", "stuck", "duplicated")
            if getattr(self.verdict, name)
        ]
        if self.p99_seconds is None:
            return [*found, f"{self.fault}: nothing was hit"]
        if self.p99_seconds > self.goal_seconds:
            found.append(f"{self.fault}: p99 is {self.p99_seconds:.2f} s, and the goal {self.goal_seconds:g} s")
        return found

    def _percentile(self, part: float) -> float | None:
        seconds = sorted(self.verdict.recovery_seconds)
        return seconds[min(len(seconds) - 1, int(part * len(seconds)))] if seconds else None


def run(
    stage: Struck,
    fault: Fault[Struck],
    *,
    kills: int,
    seed: int,
    alive_seconds: tuple[float, float] = ALIVE_SECONDS,
    shapes: Sequence[Shape] = PATIENT,
    per_second: float = PER_SECOND,
) -> Row:
    """Strike so often, and judge what came of every order and of the schedule that fires meanwhile."""
    rng = Random(f"{seed} {fault.name}")
    load = Load(0, per_second, seed)
    schedule = slots.publish(stage.mains[0])
    strikes: list[Strike] = []
    with sending(stage.mains, stage.orders, load, shapes=shapes, delays=DELAYS) as sent:
        for _ in range(kills):
            time.sleep(rng.uniform(*alive_seconds))
            strikes.append(fault.strike(stage, rng))
            fault.mend(stage, rng)
        stage.wait_until_ready()
    main = stage.mains[0]
    stage.orders.acknowledge(main, sent, STUCK_SECONDS)
    fired = slots.stop(main, schedule, stage.database_url)
    verdict = judge(
        main,
        stage.ledger,
        sent,
        [strike.at for strike in strikes],
        STUCK_SECONDS,
        f"{fault.name}, seed {seed}",
        hits=lambda events: hits_of(strikes, events),
    )
    _judge_schedule(verdict, fault, fired, strikes)
    return Row(fault.name, verdict, fault.goal(stage))


def _judge_schedule(verdict: Verdict, fault: Fault[Any], fired: slots.Slots, strikes: list[Strike]) -> None:
    """Its executions count as the others; of a leader's death also how soon it fires again."""
    verdict.executions += len(fired.fired_at)
    for name, number, what in (
        ("lost", fired.missing, "slots started nothing"),
        ("duplicated", fired.doubled, "executions have no slot of their own"),
        ("stuck", fired.unfinished, "executions of slots have not succeeded"),
    ):
        if number:
            setattr(verdict, name, getattr(verdict, name) + number)
            verdict.findings.append(f"{fault.name}: {number} {what}")
    if fault.leads:
        verdict.recovery_seconds += [soon for one in strikes if (soon := fired.next_after(one.at)) is not None]
