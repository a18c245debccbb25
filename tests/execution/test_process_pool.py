"""Heavy segments in processes of this machine: few, kept, and replaced when they die."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from budflow.execution.blobs import BlobStore
from budflow.execution.lists import ListStore
from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import Work
from budflow.execution.process_pool import ProcessPool
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from budflow.model.credential import CredentialRefused
from budflow.model.credential_kind import OpenCredential
from budflow.model.execution import Execution, Place
from budflow.model.identity import utc_now
from budflow.model.item import Item
from budflow.runner import open_hand_over
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.blobs.place import S3Place, read_blob_url
from budflow.storage.blobs.s3.store import S3Blobs
from tests.canaries.canary import Search
from tests.execution.fakes import FakeHttp
from tests.execution.heavy_nodes import TESTING, bearer, open_test_runner
from tests.execution.office import Flow


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(functools.partial(open_test_runner, ()), size=1, hand_over=open_hand_over())
    yield pool
    await pool.close()


async def run(
    pool: ProcessPool,
    node: dict[str, Any],
    item: Item = Item({}),  # noqa: B008 - it is never changed
    *,
    reopen: Callable[[], OpenCredential] | None = None,
    **credentials: OpenCredential,
) -> tuple[NodeResult, Place]:
    document = Flow({"it": node}, ["start > it"]).document("test")
    plan = compile_plan(check(document, TESTING).require("run"), TESTING)
    execution = Execution("exe_1", "default", "wf_1", 1, "api", "running", utc_now())
    node_run = NodeRun(
        node=plan.nodes[plan.index["it"]],
        items=[item],
        ports={"main": range(1)},
        scope=lambda ordinal: Scope({}, 0, {"now": utc_now()}),
        now=utc_now(),
        effect_scope="exe_1",
        http=FakeHttp(),
        on_retry=lambda *told: None,
    )
    node_run.give(credentials)

    async def reopened() -> None:
        assert reopen is not None
        node_run.give({"auth": reopen()})

    if reopen is not None:
        node_run.reopen = reopened
    return await pool.run(Work(execution, document, plan, ()), node_run)


def pid_in(result: NodeResult) -> int:
    [item] = result.ports["main"][0]
    return int(item.json["pid"])


async def test_one_process_runs_one_segment_after_the_other(pool: ProcessPool) -> None:
    (first, place), (second, _) = await asyncio.gather(*(run(pool, {"type": "test.where"}) for _ in range(2)))

    assert pid_in(first) == pid_in(second) == place.pid


async def test_a_process_that_died_is_replaced(pool: ProcessPool) -> None:
    before, _ = await run(pool, {"type": "test.where"})

    died, _ = await run(pool, {"type": "test.die"})
    after, _ = await run(pool, {"type": "test.where"})

    assert died.failed[0].code == "node.process_died"
    assert pid_in(after) != pid_in(before)


async def test_a_node_that_asks_for_labels_of_ray_nodes_is_not_run_somewhere_else(pool: ProcessPool) -> None:
    resources = {"num_cpus": 2, "labels": {"zone": "!us"}}
    refused, _ = await run(pool, {"type": "test.where", "resources": resources})

    assert refused.failed[0].code == "node.labels_need_ray"
    assert "zone=!us" in refused.failed[0].message
    assert "main" not in refused.ports


async def test_a_cancelled_segment_frees_its_place(pool: ProcessPool) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await run(pool, {"type": "test.block", "params": {"seconds": 60}})

    async with asyncio.timeout(10):
        result, _ = await run(pool, {"type": "test.where"})
    assert not result.failed


async def test_a_time_limit_ends_a_computation(pool: ProcessPool) -> None:
    result, _ = await run(pool, {"type": "test.block", "params": {"seconds": 60}, "timeout_seconds": 0.1})

    assert result.failed[0].code == "node.timed_out"


# --- blobs ---

WRITE = {"type": "test.write_blob", "params": {"text": "some bytes"}}
READ = {"type": "test.read_blob"}


async def written_and_read(blobs: BlobStore) -> tuple[Item, int]:
    """What a node of another process read of what one wrote there, and the id of that process."""
    pool = ProcessPool(functools.partial(open_test_runner, (), lists=ListStore(blobs)), size=1)
    try:
        written, place = await run(pool, WRITE)
        [item] = written.ports["main"][0]
        read, _ = await run(pool, READ, item)
        assert not read.failed, read.failed
        return read.ports["main"][0][0], place.pid
    finally:
        await pool.close()


async def test_a_node_in_another_process_reads_and_writes_blobs_there(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)

    item, pid = await written_and_read(blobs)

    hashed = hash_of("some bytes")
    assert item.json == {"pid": pid, "whole": hashed, "streamed": hashed, "readonly": True}
    assert blobs.read("default", hashed, 0, 100) == b"some bytes"


async def test_it_does_so_in_a_bucket(s3_url: str) -> None:
    place = read_blob_url(s3_url)
    assert isinstance(place, S3Place)

    item, _ = await written_and_read(S3Blobs(place))

    assert item.json["whole"] == hash_of("some bytes")


async def test_without_a_blob_store_it_is_told_so(pool: ProcessPool) -> None:
    result, _ = await run(pool, WRITE)

    assert result.failed[0].code == "blob.no_store"


# --- credentials ---

TOKEN = "canary-of-the-pool-8f1e0a"
CARELESS = {"type": "test.careless", "credentials": {"auth": "crm"}, "resources": {"num_cpus": 1}}


def careless(does: str, **more: Any) -> dict[str, Any]:
    return {**CARELESS, "params": {"does": does}, **more}


def wanting(token: str, tries: int) -> dict[str, Any]:
    params = {"does": "hash", "wants": hash_of(token)}
    return {**CARELESS, "params": params, "retry": {"tries": tries, "wait_seconds": 0.001, "jitter": False}}


def hash_of(token: str) -> str:
    return sha256(token.encode()).hexdigest()


async def test_a_node_in_another_process_has_its_credential(pool: ProcessPool) -> None:
    result, place = await run(pool, careless("hash"), auth=bearer(TOKEN))

    [item] = result.ports["main"][0]
    assert item.json == {"pid": place.pid, "hash": hash_of(TOKEN)}


async def test_what_it_gives_back_is_masked_over_there(pool: ProcessPool) -> None:
    result, place = await run(pool, careless("tell"), auth=bearer(TOKEN))

    [item] = result.ports["main"][0]
    assert item.json == {"pid": place.pid, "token": "***", "header": ["Bearer ***", "***"]}


async def test_neither_its_failure_nor_the_log_of_its_process_quotes_the_secret(
    pool: ProcessPool, capfd: pytest.CaptureFixture[str]
) -> None:
    result, _ = await run(pool, careless("crash"), auth=bearer(TOKEN))
    await pool.close()

    assert result.failed[0].code == "node.crashed"
    assert result.failed[0].message == "ValueError: could not parse *** nor ***"
    search = Search([TOKEN])
    search.data("the log", "".join(capfd.readouterr()).encode())
    assert search.hits == []


async def test_the_next_segment_of_a_process_does_not_have_the_credential_of_the_last(pool: ProcessPool) -> None:
    first, _ = await run(pool, careless("hash"), auth=bearer(TOKEN))
    second, _ = await run(pool, careless("hash"), auth=bearer("another-canary"))
    without, _ = await run(pool, careless("hash"))

    assert first.ports["main"][0][0].json["hash"] == hash_of(TOKEN)
    assert second.ports["main"][0][0].json["hash"] == hash_of("another-canary")
    assert without.failed[0].code == "node.crashed"


async def test_a_further_try_gets_the_credential_as_it_is_then(pool: ProcessPool) -> None:
    result, _ = await run(pool, wanting("new-token", tries=2), reopen=lambda: bearer("new-token"), auth=bearer(TOKEN))

    [item] = result.ports["main"][0]
    assert item.json["hash"] == hash_of("new-token")
    assert result.tries == 2


async def test_a_credential_that_was_taken_away_between_two_tries_fails_the_node(pool: ProcessPool) -> None:
    def refuse() -> OpenCredential:
        raise CredentialRefused("The credential was taken away.")

    result, _ = await run(pool, wanting("new-token", tries=3), reopen=refuse, auth=bearer(TOKEN))

    assert result.failed[0].code == "credential.refused"
    assert result.failed[0].message == "The credential was taken away."
    assert not (await run(pool, {"type": "test.where"}))[0].failed


async def test_without_a_hand_over_the_node_fails_and_the_pool_goes_on() -> None:
    pool = ProcessPool(functools.partial(open_test_runner, ()), size=1)

    result, _ = await run(pool, careless("hash"), auth=bearer(TOKEN))
    after, _ = await run(pool, {"type": "test.where"})
    await pool.close()

    assert result.failed[0].code == "credential.hand_over_missing"
    assert not after.failed


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_its_processes_do_not_have_the_keys_of_the_store(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_ENCRYPTION_KEYS", "the keys of the store")
    monkeypatch.setenv("budflow_database_url", "the way to the store")
    monkeypatch.setenv("BUDFLOW_LOG_LEVEL", "what others may know")

    _, place = await run(pool, {"type": "test.where"})

    environment = environment_of(place.pid)
    assert b"of the store" not in environment
    assert b"to the store" not in environment
    assert b"what others may know" in environment
