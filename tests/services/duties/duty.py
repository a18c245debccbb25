"""Duties run for tests: the services that they use, and a term that goes on until the test ends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from budflow.services.leader_only import Duty
from budflow.services.leader_ports import NotLeader
from budflow.services.use_case import Services


class FakeTerm:
    """Meets Leading."""

    def __init__(self, token: int = 1) -> None:
        self.token, self.leads = token, True
        self.required = 0

    def require(self) -> None:
        self.required += 1
        if not self.leads:
            raise NotLeader


def services(**parts: Any) -> Services:
    """Only what a duty is known to use."""
    return cast(Services, SimpleNamespace(**parts))


@asynccontextmanager
async def performing(duty: Duty, given: Services, term: FakeTerm | None = None) -> AsyncIterator["asyncio.Task[None]"]:
    """The duty at work; at the end it is cancelled, and what it raised before is raised."""
    task = asyncio.ensure_future(duty.run(given, term or FakeTerm()))
    try:
        yield task
    finally:
        task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
