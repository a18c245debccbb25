"""A lease that a test can break: it may be slow, lose requests or answers, or be away. It goes by the loop's time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from budflow.errors import BudflowError
from budflow.services.leader_ports import LeaderRow

T = TypeVar("T")


class LeaseAway(BudflowError):
    """The lease is away."""


@dataclass
class Truth:
    """What the lease itself knows."""

    holder: str = ""
    token: int = 0
    until: float = 0.0

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def is_held(self) -> bool:
        return self.until > self.now


async def at_once() -> None:
    """A network that takes no time."""


class FakeLease:
    """Meets LeaderLease. `there` and `back` are the ways of a request and of its answer; both may wait, or raise."""

    def __init__(
        self,
        truth: Truth,
        *,
        there: Callable[[], Awaitable[None]] = at_once,
        back: Callable[[], Awaitable[None]] = at_once,
    ) -> None:
        self.truth, self.there, self.back = truth, there, back
        self.asked: list[str] = []
        self.closed = False

    async def acquire(self, holder: str, *, seconds: float) -> int | None:
        return await self._ask("acquire", lambda: self._acquire(holder, seconds))

    async def renew(self, token: int, *, seconds: float) -> bool:
        return await self._ask("renew", lambda: self._renew(token, seconds))

    async def release(self, holder: str) -> None:
        await self._ask("release", lambda: self._release(holder))

    async def current(self) -> LeaderRow | None:
        truth = self.truth
        until = datetime.fromtimestamp(truth.until, UTC)
        return LeaderRow(truth.holder, truth.token, until) if truth.is_held else None

    async def close(self) -> None:
        self.closed = True

    async def _ask(self, name: str, act: Callable[[], T]) -> T:
        self.asked.append(name)
        await self.there()
        answer = act()
        await self.back()
        return answer

    def _acquire(self, holder: str, seconds: float) -> int | None:
        truth = self.truth
        if truth.is_held and truth.holder != holder:
            return None
        truth.holder, truth.token, truth.until = holder, truth.token + 1, truth.now + seconds
        return truth.token

    def _renew(self, token: int, seconds: float) -> bool:
        if not (self.truth.is_held and self.truth.token == token):
            return False
        self.truth.until = self.truth.now + seconds
        return True

    def _release(self, holder: str) -> None:
        if self.truth.holder == holder:
            self.truth.until = 0.0
