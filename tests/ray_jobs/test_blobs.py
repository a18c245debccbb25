"""Blobs of heavy segments in Ray's object store: put once, found again, and never the only copy."""

import asyncio
import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import ObjectLostError

from budflow.execution.blobs import BlobCorrupt
from budflow.execution.spill import ITEMS_MAX
from budflow.execution.stored_blobs import StoredBlobs
from budflow.model import event as e
from budflow.model.blobs import WHOLE_BYTES_MAX, BlobTooLarge
from budflow.model.item import BlobRef
from budflow.model.spilled import Spilled
from budflow.storage.blobs.directory import DirectoryBlobs
from ray_jobs import blobs as module
from ray_jobs.blobs import BlobObjects, Content, MemorySink, ObjectUnreachable, TaskBlobs
from ray_jobs.executor import RayExecutor
from tests.execution.office import Flow, Office
from tests.processes import eventually
from tests.until import until

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]

SIZE = 1_000_000
#: More than Ray would keep outside of its object store.
DATA = os.urandom(SIZE)
REF = BlobRef(hashlib.sha256(DATA).hexdigest(), SIZE)


@pytest.fixture(autouse=True)
def _ray(ray_executor: RayExecutor) -> None:
    """Ray is up."""


@pytest.fixture
def store(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path)


@pytest.fixture
def blobs(store: DirectoryBlobs) -> StoredBlobs:
    return StoredBlobs(store, "default")


def content_of(reference: Any) -> memoryview:
    content: Content = ray.get(reference)
    return content.view


@ray.remote(num_cpus=0)
def put_elsewhere(data: bytes) -> tuple[list[Any], int]:
    """What a task puts, and the process that owns it."""
    return [ray.put(Content(data))], os.getpid()


def lose(reference: Any, owner: int) -> None:
    """Kill the process that owns an object, until Ray knows that it is lost."""
    os.kill(owner, signal.SIGKILL)

    def is_lost() -> bool:
        try:
            ray.get(reference)
        except ObjectLostError:
            return True
        return False

    eventually(is_lost, "the object is lost")


class FakeRunner:
    """An actor's methods of this process: their answers are references, as Ray's are."""

    def __init__(self, objects: BlobObjects, blobs: StoredBlobs) -> None:
        self._objects, self._blobs, self.asked = objects, blobs, 0

    @property
    def find_blob_for_segment(self) -> "FakeRunner":
        return self

    def remote(self, number: int, ref: BlobRef, anew: bool) -> Any:
        self.asked += 1
        return ray.put([asyncio.run(self._objects.find(self._blobs, "default", ref, anew=anew))])


async def test_who_gets_bytes_sees_the_memory_of_the_object_store() -> None:
    reference = ray.put(Content(DATA))

    one, other = content_of(reference), content_of(reference)

    assert (one == DATA, one.readonly) == (True, True)
    assert _address(one) == _address(other)


async def test_a_blob_is_loaded_once_for_all_who_ask(blobs: StoredBlobs) -> None:
    await blobs.put(DATA)
    objects = BlobObjects()

    found = await asyncio.gather(*(objects.find(blobs, "default", REF, anew=False) for _ in range(3)))
    later = await objects.find(blobs, "default", REF, anew=False)

    assert {*found, later} == {found[0]}
    assert content_of(later) == DATA
    assert (objects.loaded, objects.taken) == (1, 0)


async def test_what_a_task_wrote_is_durable_and_is_not_loaded(blobs: StoredBlobs, store: DirectoryBlobs) -> None:
    objects = BlobObjects()
    [reference], _ = ray.get(put_elsewhere.remote(DATA))
    ref = REF._replace(media_type="text/plain", name="a.txt")

    assert await objects.take(blobs, "default", reference, ref) == ref

    assert store.read("default", REF.sha256, 0, SIZE) == DATA
    assert await objects.find(blobs, "default", REF, anew=False) == reference
    assert (objects.loaded, objects.taken) == (0, 1)


async def test_something_else_than_was_announced_is_refused(blobs: StoredBlobs) -> None:
    with pytest.raises(BlobCorrupt):
        await BlobObjects().take(blobs, "default", ray.put(Content(b"else")), REF)


async def test_another_project_does_not_get_what_one_has_put(blobs: StoredBlobs, store: DirectoryBlobs) -> None:
    objects = BlobObjects()
    await objects.take(blobs, "default", ray.put(Content(DATA)), REF)

    with pytest.raises(module.BudflowError, match="There is no blob"):
        await objects.find(StoredBlobs(store, "other"), "other", REF, anew=False)


async def test_only_so_many_bytes_are_kept_those_used_last(blobs: StoredBlobs) -> None:
    objects = BlobObjects(bytes_max=25)
    one, two, three = [await blobs.put(text * 10) for text in (b"1", b"2", b"3")]
    for ref in (one, two, one, three):
        await objects.find(blobs, "default", ref, anew=False)
    assert objects.loaded == 3

    await objects.find(blobs, "default", one, anew=False)
    assert objects.loaded == 3
    await objects.find(blobs, "default", two, anew=False)
    assert objects.loaded == 4


async def test_one_that_is_larger_than_that_is_found_all_the_same(blobs: StoredBlobs) -> None:
    objects = BlobObjects(bytes_max=25)
    ref = await blobs.put(b"1" * 30)

    for _ in range(2):
        assert content_of(await objects.find(blobs, "default", ref, anew=False)) == b"1" * 30
    assert objects.loaded == 2


async def test_an_object_whose_owner_died_is_loaded_from_the_blob_store(blobs: StoredBlobs) -> None:
    objects = BlobObjects()
    [reference], pid = ray.get(put_elsewhere.remote(DATA))
    await objects.take(blobs, "default", reference, REF)
    lose(reference, pid)
    runner = FakeRunner(objects, blobs)

    assert await TaskBlobs(runner, 1).read(REF) == DATA

    assert (runner.asked, objects.loaded) == (2, 1)


async def test_one_that_never_comes_ends_in_an_error(blobs: StoredBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OBJECT_SECONDS_MAX", 0.05)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    with pytest.raises(ObjectUnreachable):
        await BlobObjects().take(blobs, "default", never, REF)


async def test_what_is_too_large_is_refused_before_it_moves() -> None:
    with pytest.raises(BlobTooLarge):
        await TaskBlobs(None, 1).read(REF._replace(size_bytes=WHOLE_BYTES_MAX + 1))


async def test_what_is_written_piece_by_piece_has_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_BYTES_MAX", 5)
    sink = MemorySink()
    await sink.write(b"abc")

    with pytest.raises(BlobTooLarge):
        await sink.write(b"def")


@pytest.mark.parametrize("piecewise", [True, False])
async def test_a_blob_passes_from_one_heavy_node_to_the_next(ray_executor: RayExecutor, piecewise: bool) -> None:
    params = {"text": "some bytes", "times": 50_000, "piecewise": piecewise}
    flow = Flow(
        {"write": {"type": "test.write_blob", "params": params}, "read": {"type": "test.read_blob"}},
        ["start > write", "write > read"],
    )
    events = await events_of(ray_executor, flow)

    [_, wrote, read] = [event for event in events if isinstance(event, e.NodeFinished)]
    ref = wrote.outputs["main"].items[0].binary["file"]
    hashed = hashlib.sha256(b"some bytes" * 50_000).hexdigest()
    assert ref == BlobRef(hashed, 500_000, "text/plain")
    told = read.outputs["main"].items[0].json
    assert (told["whole"], told["streamed"], told["readonly"]) == (hashed, hashed, True)
    assert read.place is not None
    assert told["pid"] == read.place.pid


async def test_the_items_of_one_node_have_their_blobs_at_the_same_time(ray_executor: RayExecutor) -> None:
    params = {"text": "{{ $json.text }}", "times": 50_000}
    flow = Flow(
        {"write": {"type": "test.write_blob", "params": params}, "read": {"type": "test.read_blob"}},
        ["start > write", "write > read"],
        [{"text": f"text {n}"} for n in range(12)],
    )
    events = await events_of(ray_executor, flow)

    [_, _, read] = [event for event in events if isinstance(event, e.NodeFinished)]
    expected = [hashlib.sha256(f"text {n}".encode() * 50_000).hexdigest() for n in range(12)]
    assert [item.json["whole"] for item in read.outputs["main"].items] == expected


async def test_the_worker_that_dies_with_a_blob_in_its_hands_fails_the_node(
    blobs: StoredBlobs, store: DirectoryBlobs
) -> None:
    objects = BlobObjects()
    [reference], pid = ray.get(put_elsewhere.remote(DATA))
    lose(reference, pid)

    with pytest.raises(ObjectUnreachable):
        await objects.take(blobs, "default", reference, REF)

    assert [*store.old_blobs(older_than=1e11)] == []
    assert objects.taken == 0


async def test_a_list_that_is_too_long_for_memory_passes_through_a_heavy_node(ray_executor: RayExecutor) -> None:
    count = ITEMS_MAX + 10
    sort = {"type": "data.sort", "params": {"by": [{"field": "n", "order": "desc"}]}, "resources": {"num_cpus": 0.5}}
    check = {"type": "data.limit", "params": {"count": 2}}
    flow = Flow(
        {"many": {"type": "flow.no_op"}, "sort": sort, "first": check},
        ["start > many", "many > sort", "sort > first"],
        [{"n": n} for n in range(count)],
    )
    events = await events_of(ray_executor, flow)

    [_, many, sorted_, first] = [event for event in events if isinstance(event, e.NodeFinished)]
    assert all(isinstance(one.outputs["main"].items, Spilled) for one in (many, sorted_))
    assert sorted_.place is not None
    assert sorted_.place.executor == "ray"
    assert first.outputs["main"].to_json() == [{"n": count - 1}, {"n": count - 2}]


async def events_of(executor: RayExecutor, flow: Flow) -> list[e.Event]:
    """What became of one execution."""
    office = Office(executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        active = await office.run(flow)
    events = await office.events(active.execution.id)
    await office.supervisor.stop(0)
    return events


def _address(view: memoryview) -> int:
    import pyarrow

    address: int = pyarrow.py_buffer(view).address
    return address
