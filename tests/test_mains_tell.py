"""Two real servers tell each other: what happens at one is known at the other at once, or a little later by looking."""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.processes import Serving, Silence, asking, serving, silence
from tests.servers import RedisServer
from tests.test_two_mains import hook

pytestmark = [pytest.mark.process, pytest.mark.postgres]

#: What is promised. Telling takes some 20 ms where the machine has little else to do; the figures are in the output.
SECONDS_MAX = 2.0
#: By looking alone: the longest of the pauses, and time for a busy machine.
LOOKING_SECONDS_MAX = 6.0
TIMES = 3

_LISTENING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE $1"
)


@contextmanager
def two_mains(folder: Path, url: str, **settings: str) -> Iterator["Mains"]:
    """The first has room for one execution."""
    shared = {"BUDFLOW_DATABASE_URL": url, "BUDFLOW_BLOB_URL": f"file://{folder}/blobs", **settings}
    with (
        silence() as service,
        serving(folder / "one", BUDFLOW_RUNNING_MAX="1", **shared) as one,
        serving(folder / "two", **shared) as two,
    ):
        yield Mains(one, two, service)


def test_what_happens_at_one_main_is_heard_at_the_other_at_once(tmp_path: Path, postgres_url: str) -> None:
    with two_mains(tmp_path, postgres_url) as mains:
        for what, how in mains.ways().items():
            seconds = [how() for _ in range(TIMES)]
            sys.stdout.write(f"{what}: {', '.join(f'{1000 * one:.0f}' for one in seconds)} ms\n")
            assert statistics.median(seconds) < SECONDS_MAX, what

        asyncio.run(end_sessions(postgres_url, "LISTEN%"))
        for what, how in mains.ways().items():
            assert how() < LOOKING_SECONDS_MAX, f"{what}, just after nobody could listen"


def test_while_redis_is_away_mains_find_out_by_looking(
    tmp_path: Path, postgres_url: str, own_redis: RedisServer
) -> None:
    with two_mains(tmp_path, postgres_url, BUDFLOW_REDIS_URL=own_redis.url()) as mains:
        for what, how in mains.ways().items():
            assert how() < SECONDS_MAX, what
        own_redis.pause()
        for what, how in mains.ways().items():
            assert how() < LOOKING_SECONDS_MAX, f"{what}, without Redis"


class Mains:
    """Two servers, and a service that executions ask and wait for."""

    def __init__(self, one: Serving, two: Serving, service: Silence) -> None:
        self._one, self._two, self._service = one, two, service
        self._asking = one.create(asking(service.url))
        self._published = 0

    def ways(self) -> Mapping[str, Callable[[], float]]:
        """What one of them has to learn from the other; each gives the seconds that it took."""
        return {
            "a webhook published at one and served by the other": self.until_served,
            "an execution cancelled through the other": self.until_cancelled,
            "an end seen live at the other": self.until_seen,
            "an end waited for at the other": self.until_answered,
            "a webhook of a full one answered from what ran at the other": self.until_taken_up,
        }

    def until_served(self) -> float:
        self._published += 1
        path = f"greet-{self._published}"
        workflow_id = self._one.create(hook(path))
        self._one.client.post(f"/workflows/{workflow_id}/publish", json={}).raise_for_status()
        began = time.monotonic()
        with httpx2.Client() as client:
            while client.post(f"{self._two.url}/webhook/{path}", json={"name": "Ada"}).status_code != 200:
                assert time.monotonic() < began + 10
        return time.monotonic() - began

    def until_cancelled(self) -> float:
        execution_id = self._ask()
        began = time.monotonic()
        self._two.client.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()
        while self._one.status_of(execution_id) != "cancelled":
            assert time.monotonic() < began + 10
        took = time.monotonic() - began
        self._service.close()
        return took

    def until_seen(self) -> float:
        execution_id = self._ask()
        with self._two.client.stream("GET", f"/executions/{execution_id}/events") as stream:
            kinds = (line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: "))
            while next(kinds) != "node.started":
                pass
            began = time.monotonic()
            self._service.answer()
            assert [*kinds][-1] == "execution.finished"
            return time.monotonic() - began

    def until_answered(self) -> float:
        execution_id = self._ask()
        self._service.answer()
        began = time.monotonic()
        ended = self._two.client.get(f"/executions/{execution_id}/wait", params={"wait_seconds": 10}).json()
        assert ended["execution"]["status"] == "succeeded"
        return time.monotonic() - began

    def until_taken_up(self) -> float:
        execution_id = self._ask()
        began = time.monotonic()
        answer = httpx2.post(f"{self._one.url}/webhook/greet-1", json={"name": "Ada"}, timeout=10)
        took = time.monotonic() - began
        assert answer.json() == {"hello": "Ada"}
        assert self._one.status_of(execution_id) == "running"
        self._service.answer()
        self._one.client.get(f"/executions/{execution_id}/wait", params={"wait_seconds": 10})
        return took

    def _ask(self) -> str:
        """An execution at the first, which fills it, once it waits for its answer."""
        execution_id = self._one.start(self._asking)
        self._service.asked()
        return execution_id


async def end_sessions(url: str, like: str) -> None:
    """As an administrator: end the sessions that did such a thing last."""
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetch(_LISTENING, like)
    finally:
        await connection.close()
