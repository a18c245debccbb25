"""The whole engine under simulation: real nodes, runs, journals and supervisors; everything around them fails."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from budflow.errors import BudflowError
from budflow.execution import node_result, node_work, repeat
from budflow.execution.held import Held
from budflow.execution.journal import Journal
from budflow.execution.node_credentials import NodeCredentials
from budflow.execution.ports import Work
from budflow.execution.records import JournalWrite
from budflow.execution.thin_link import ThinLink
from budflow.model.execution import TERMINAL, Execution
from budflow.model.redaction import Redaction
from budflow.services import retry_execution
from budflow.services.repetition import submit_repetition
from budflow.storage import settle
from budflow.storage.admission import displaced_by
from budflow.storage.fairness import Candidate
from budflow.storage.memory.store import MemoryStore
from budflow.storage.settle import Settled
from budflow.storage.writes import Known
from tests.execution import (
    simulated_credentials,
    simulated_limits,
    simulated_parts,
    simulated_repeats,
    simulated_spills,
    simulated_static,
    simulated_thinning,
)
from tests.execution.simulated_checks import check_outputs, check_world
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_loop import simulate
from tests.execution.simulated_server import Faults
from tests.execution.simulated_store import SharedStore
from tests.execution.simulated_world import World

pytestmark = pytest.mark.generated

#: By default a run takes less than a minute; BUDFLOW_SIMULATION_SCHEDULES asks for more schedules of every kind.
VARIABLE = "BUDFLOW_SIMULATION_SCHEDULES"
SCHEDULES = int(os.environ.get(VARIABLE, "60"))
FIRST_SEED = int(os.environ.get("BUDFLOW_SIMULATION_SEED", "0"))
FAULTS = {
    "misbehaving outside": Faults(http=0.3, pause=0.2),
    "cancelled at any moment": Faults(http=0.2, cancel=1),
    "a store that fails": Faults(http=0.1, store=0.08, cancel=0.2, pause=0.1),
    "servers that die": Faults(http=0.1, deaths=4, cancel=0.2),
    "servers that freeze": Faults(http=0.1, frozen=3, cancel=0.2),
    "everything at once": Faults(http=0.2, store=0.04, cancel=0.4, pause=0.2, deaths=2, frozen=1, stops=1),
}
CRASHES = {
    "no faults": Faults(),
    "a store that fails": Faults(store=0.05),
    "a server that dies": Faults(deaths=2),
    "a server that freezes": Faults(frozen=2),
    "a server that restarts": Faults(stops=2, deaths=1, pause=0.2),
}


def schedules(part: int, parts: int) -> range:
    return range(FIRST_SEED + part * SCHEDULES // parts, FIRST_SEED + (part + 1) * SCHEDULES // parts)


EVERY = [*FAULTS.values(), *CRASHES.values()]
#: What else is promised: a world of each kind, and the classes of what is to happen in them.
KINDS: dict[str, tuple[Callable[[int, Faults], Coroutine[Any, Any, set[str]]], tuple[str, ...]]] = {
    "static data": (simulated_static.keep_static, simulated_static.CLASSES),
    "limits": (simulated_limits.limit, simulated_limits.CLASSES),
    "retries and forks": (simulated_repeats.repeat, simulated_repeats.CLASSES),
    "lists in blobs": (simulated_spills.spill_lists, simulated_spills.CLASSES),
    "thinned journals": (simulated_thinning.thin, simulated_thinning.CLASSES),
    "partial and test runs": (simulated_parts.run_parts, simulated_parts.CLASSES),
    "credentials": (simulated_credentials.use_credentials, simulated_credentials.CLASSES),
}
SHARE_MIN = 0.05


def some_uses(world: World) -> list[Coroutine[Any, Any, None]]:
    return [use(world) for _ in range(world.random.choice([1, 2, 3]))]


def documents_of(world: World, seed: int, *, racing: bool) -> dict[str, Any]:
    """The workflow that is started, the one that it calls, and what follows a failure of either."""
    return {
        "callee": random_document(world.random, 1 + seed % 7, Wanted(calls=False, racing=racing)),
        "caller": random_document(world.random, 3 + seed % 16, Wanted(racing=racing)),
        "watcher": WATCHER,
    }


async def disturbed(seed: int, faults: Faults) -> None:
    """Anything may go wrong; what must hold then holds for any journal."""
    world = World(seed, faults)
    await live(world, documents_of(world, seed, racing=True), some_uses(world))
    await check_world(world)
    await world.close()


async def crashed(seed: int, faults: Faults, ended: Counter[str]) -> None:
    """Only servers and their store fail, and of that nothing is to be seen in the end."""
    world = World(seed, faults)
    documents = documents_of(world, seed, racing=False)
    await live(world, documents, some_uses(world))
    await check_world(world)
    ended.update(await check_outputs(world, documents))
    ended["refused"] += world.store.refused
    if faults == Faults():
        assert set(world.outside.received.values()) <= {1}, "an effect was repeated for no reason"
    await world.close()


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("part", range(2))
def test_whatever_goes_wrong_every_execution_ends_once_and_its_journal_is_whole(faults: Faults, part: int) -> None:
    for seed in schedules(part, 2):
        try:
            simulate(disturbed(seed, faults))
        except BaseException as error:
            error.add_note(f"seed {seed} with {faults}")
            raise


@pytest.mark.parametrize("faults", CRASHES.values(), ids=CRASHES.keys())
@pytest.mark.parametrize("part", range(2))
def test_whatever_dies_the_result_is_what_the_definition_says(faults: Faults, part: int) -> None:
    ended: Counter[str] = Counter()
    for seed in schedules(part, 2):
        try:
            simulate(crashed(seed, faults, ended))
        except BaseException as error:
            error.add_note(f"seed {seed} with {faults}")
            raise
    assert min(ended["succeeded"], ended["failed"]) > SCHEDULES // 40, f"hardly any variety: {ended}"
    if not faults.store:  # Who gives up over a call that failed may have a write on its way.
        assert bool(ended["refused"]) == bool(faults.frozen), "only who was frozen writes late"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_promised_beside_the_result_is_kept(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    run, classes = KINDS[kind]
    seen: Counter[str] = Counter()

    async def note(seed: int, faults: Faults) -> None:
        seen.update(await run(seed, faults))

    for seed in schedules(0, 1):
        faults = EVERY[seed % len(EVERY)]
        try:
            simulate(note(seed, faults))
        except BaseException as error:
            error.add_note(f"seed {seed} with {faults}")
            raise
    histogram = [f"{name:<44}{seen[name] / SCHEDULES:7.1%}" for name in classes]
    with capsys.disabled() if VARIABLE in os.environ else nullcontext():
        sys.stdout.write("\n".join(("", kind, *histogram, "")))
    rare = [name for name in classes if seen[name] < SHARE_MIN * SCHEDULES]
    assert not rare, "the campaign hardly saw these"


async def _append_unfenced(store: SharedStore, write: JournalWrite) -> None:
    """Whoever holds whatever claim writes behind what is there."""
    row = await store.get_execution("default", write.claim.execution_id)
    if row is not None and row.status not in TERMINAL:
        first = len(await store.read_events("default", row.id))
        events = tuple(replace(event, seq=first + i) for i, event in enumerate(write.events))
        write = replace(write, claim=replace(write.claim, token=row.token), events=events)
    await MemoryStore.append(store, write)


async def _commit_nothing(_: Held) -> None:
    """Whatever is to be durable now is said to be."""


MUTANTS: dict[str, tuple[type, str, Any, str]] = {
    "fencing is off": (SharedStore, "append", _append_unfenced, "servers that freeze"),
    "acknowledged before the commit": (Held, "commit", _commit_nothing, "servers that die"),
    "a signal is written without the end that sends it": (
        Journal,
        "send",
        lambda _journal, _signal: None,
        "misbehaving outside",
    ),
}


async def _with_keys_of_its_own(*args: Any) -> Execution:
    """A retry in an effect scope of its own."""
    return await submit_repetition(*args[:-1], None)


def _displace_the_newest(known: Known, new: Execution) -> list[tuple[str, bool]]:
    """As many as there should be, from the other end."""
    found = displaced_by(known, new)
    if new.limit is None or not found:
        return found
    heads = known.heads
    staying = [
        one for one in known.groups[new.limit.key].items() if not (heads[one[0]].ended or heads[one[0]].cancelling)
    ]
    return staying[-len(found) :]


#: By the kind of world that is to notice.
MUTANTS_BESIDE: dict[str, tuple[str, object, str, Any]] = {
    "limits are not looked at": ("limits", Candidate, "has_room", lambda *_: True),
    "the newest makes room": ("limits", settle, "displaced_by", _displace_the_newest),
    "static data is not stored": ("static data", Journal, "keep_static", lambda *_: None),
    "static data is kept by who did not run": ("static data", node_work, "NO_STATIC", object()),
    "a retry has keys of its own": ("retries and forks", retry_execution, "submit_repetition", _with_keys_of_its_own),
    "what failed is taken for done": ("retries and forks", repeat._Selection, "_ended_well", lambda *_: True),
    "blobs are not noted": ("lists in blobs", Settled, "with_blobs", lambda _: iter(())),
    "what a node gave before is not written": ("thinned journals", ThinLink, "write", lambda _: None),
    "pinned data is not used": ("partial and test runs", Work, "pinned", property(lambda _: False)),
    "uses are not audited": ("credentials", Journal, "note_use", lambda *_: None),
    "another credential is sent before that is durable": (
        "credentials",
        NodeCredentials,
        "reopen",
        NodeCredentials.open,
    ),
    "what comes back is not masked": ("credentials", node_result, "redaction_of", lambda _: Redaction(())),
}


@pytest.mark.parametrize("mutant", MUTANTS_BESIDE)
def test_its_kind_of_world_notices(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, where, name, changed = MUTANTS_BESIDE[mutant]
    monkeypatch.setattr(where, name, changed)
    run, _ = KINDS[kind]
    assert any(_fails(run(seed, EVERY[seed % len(EVERY)])) for seed in range(SCHEDULES))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_simulation_notices(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, changed, faults = MUTANTS[mutant]
    monkeypatch.setattr(where, name, changed)
    assert any(_fails(disturbed(seed, FAULTS[faults])) for seed in range(SCHEDULES))


def _fails(world: Coroutine[Any, Any, object]) -> bool:
    async def live() -> None:
        await world

    try:
        simulate(live())
    except (AssertionError, BudflowError, ExceptionGroup):
        return True
    return False
