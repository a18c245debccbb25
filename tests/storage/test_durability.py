"""What was acknowledged is there afterwards: in a new store, after a kill, and beside writes that failed."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from budflow.execution.records import JournalWrite
from budflow.model.execution import ClaimLost
from budflow.storage.errors import WriteConflict
from tests.storage.conftest import OpenStore
from tests.storage.journals import end, event, queued, running, saved, version

_APPENDER = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from budflow.execution.records import JournalWrite
from budflow.storage.open import open_store
from tests.storage.journals import event, queued

async def append_for_ever(store, claim):
    for seq in range(1, 1_000_000):
        await store.append(JournalWrite(claim, (event(seq),)))
        print(claim.execution_id, seq, flush=True)

async def main(place):
    url, data_dir = (None, Path(place).parent) if place.startswith("/") else (place, Path())
    store = await open_store(url, data_dir)
    for _ in range(8):
        await queued(store)
    claims = await store.claim("r1", limit=8)
    await asyncio.gather(*(append_for_ever(store, claim) for claim, _ in claims))

asyncio.run(main(sys.argv[1]))
"""


async def test_a_new_store_finds_everything(open_again: OpenStore) -> None:
    first = await open_again()
    kept = await saved(first)
    await first.publish("default", kept.id, 1, [])
    claim = await running(first, workflow_id=kept.id)
    await first.append(JournalWrite(claim, (event(1, payload=b"x" * 5000),), status="waiting"))
    row, events = await first.get_execution("default", claim.execution_id), None
    events = await first.read_events("default", claim.execution_id)
    await first.close()

    second = await open_again()

    assert await second.get_execution("default", claim.execution_id) == row
    assert await second.read_events("default", claim.execution_id) == events
    assert await second.list_versions("default", kept.id) == [version(kept)]
    await second.append(end(claim, 2))
    with pytest.raises(ClaimLost):
        await second.append(end(claim, 3))


def test_a_killed_process_loses_nothing_that_it_acknowledged(database: str | Path, open_again: OpenStore) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _APPENDER, str(database)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(300)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [line for line in process.stdout if line.endswith("\n")]

    last: dict[str, int] = {}
    for line in acknowledged:
        execution_id, seq = line.split()
        last[execution_id] = int(seq)
    assert len(last) == 8
    asyncio.run(_assert_journals_reach(open_again, last))


async def _assert_journals_reach(open_again: OpenStore, last: dict[str, int]) -> None:
    store = await open_again()
    for execution_id, seq in last.items():
        events = await store.read_events("default", execution_id)
        assert [e.seq for e in events] == list(range(len(events)))
        assert len(events) > seq
    await store.close()


async def test_an_operation_that_the_database_refuses_fails_alone(open_again: OpenStore) -> None:
    store = await open_again()
    kept = await saved(store)
    claims = [await running(store) for _ in range(20)]

    results = await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims[:10]),
        store.add_workflow(kept, version(kept)),
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims[10:]),
        return_exceptions=True,
    )

    assert [type(result) for result in results if result is not None] == [WriteConflict]
    for claim in claims:
        assert len(await store.read_events("default", claim.execution_id)) == 2


async def test_closing_stores_what_was_handed_over(open_again: OpenStore) -> None:
    store = await open_again()
    claim = await running(store)
    appends = [asyncio.create_task(store.append(JournalWrite(claim, (event(seq),)))) for seq in range(1, 100)]
    await asyncio.sleep(0)  # Each append is handed over in its first step.

    await store.close()

    await asyncio.gather(*appends)
    assert len(await (await open_again()).read_events("default", claim.execution_id)) == 100


async def test_two_stores_on_one_database_never_claim_the_same(open_again: OpenStore) -> None:
    stores = [await open_again(), await open_again()]
    for _ in range(40):
        await queued(stores[0])

    taken = await asyncio.gather(*(stores[i % 2].claim(f"r{i}", limit=3) for i in range(20)))

    ids = [claim.execution_id for claims in taken for claim, _ in claims]
    assert len(ids) == len(set(ids)) == 40


async def test_a_write_that_cannot_be_encoded_fails_alone(open_again: OpenStore) -> None:
    store = await open_again()
    claims = [await running(store) for _ in range(8)]
    broken = replace(event(1), payload="not bytes", at=None)  # type: ignore[arg-type]  # the defect of a caller

    results = await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims[1:]),
        store.append(JournalWrite(claims[0], (broken,))),
        return_exceptions=True,
    )

    assert [type(result) for result in results if result is not None] == [TypeError]
    lengths = [len(await store.read_events("default", claim.execution_id)) for claim in claims]
    assert lengths == [1] + [2] * 7
