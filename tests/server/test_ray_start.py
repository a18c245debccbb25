"""Ray behind a server that answers: executions stay in process until it is up, and when it never comes up."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from budflow.app import Runtime, open_temporary
from budflow.errors import BudflowError
from budflow.execution.ports import Link, Running, Work
from budflow.server import ray_start
from budflow.settings import Settings


class FakeRay:
    """The executor that a fake Ray gives; starts nothing."""

    name = "ray"

    def __init__(self) -> None:
        self.closed = False

    def start(self, work: Work, link: Link) -> Running:
        raise NotImplementedError

    def status(self) -> Mapping[str, Any]:
        return {"name": self.name, "address": "local", "runners": []}

    async def close(self) -> None:
        self.closed = True


class NoRay(BudflowError):
    """There is none."""

    code = "ray.start_failed"
    hint = "Look at it."


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with open_temporary(Settings()) as opened:
        yield opened


def executor_of(runtime: Runtime) -> Mapping[str, Any]:
    shown: Mapping[str, Any] = runtime.services.supervisor.status()["executor"]
    return shown


async def test_ray_executes_once_it_is_up(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    up, fake = threading.Event(), FakeRay()

    def open_ray(*_: object) -> FakeRay:
        assert up.wait(5)
        return fake

    monkeypatch.setattr(ray_start, "open_ray", open_ray)
    starting = asyncio.create_task(ray_start.start_ray(runtime))
    await asyncio.sleep(0)
    assert executor_of(runtime)["name"] == "inprocess"
    assert executor_of(runtime)["ray"] == {"state": "starting"}

    up.set()
    await starting

    assert executor_of(runtime)["name"] == "ray"


async def test_a_ray_that_fails_stands_in_the_status(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_ray(*_: object) -> FakeRay:
        raise NoRay

    monkeypatch.setattr(ray_start, "open_ray", open_ray)

    await ray_start.start_ray(runtime)

    assert executor_of(runtime)["name"] == "inprocess"
    assert executor_of(runtime)["ray"]["code"] == "ray.start_failed"


async def test_a_server_that_stops_meanwhile_closes_what_was_started(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    up, began, fake = threading.Event(), threading.Event(), FakeRay()

    def open_ray(*_: object) -> FakeRay:
        began.set()
        assert up.wait(5)
        return fake

    monkeypatch.setattr(ray_start, "open_ray", open_ray)
    starting = asyncio.create_task(ray_start.start_ray(runtime))
    await asyncio.to_thread(began.wait, 5)
    starting.cancel()
    up.set()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert fake.closed
