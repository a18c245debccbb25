"""The runner actor's end of a run: what the run appends gathers here until the owner fetches it."""

import asyncio
from collections.abc import Callable

from budflow.execution.ports import ChildCall
from budflow.execution.records import RateAsk, Rest
from budflow.execution.state_codec import StateUnwritable
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.journal import encode
from ray_jobs.wire import pack_report

LINGER_SECONDS = 0.05

log = get_log(__name__)


class Outbox:
    """A Link over which the owner polls. What needs nobody's answer is held back a while, to come in one batch."""

    def __init__(self) -> None:
        self._events: list[e.StoredEvent] = []
        self._calls: list[ChildCall] = []
        self._cancelled_calls: list[tuple[str, int, tuple[int, ...]]] = []
        self._asks: list[RateAsk] = []
        self._rest: Rest | None = None
        self._snapshot: tuple[int, bytes] | None = None
        self._appended = 0  # Events so far; `_reported` and `_durable` count the same way.
        self._reported = 0
        self._durable = 0
        self._flush = False
        self._commits: dict[asyncio.Future[None], int] = {}
        self._ready = asyncio.Event()
        self._linger: asyncio.TimerHandle | None = None

    # --- the run's side: see Link --------------------------------------------------------------------------------

    def append(self, *events: e.Event) -> None:
        """See Link."""
        self._events.extend(encode(0, event) for event in events)
        self._appended += len(events)
        if self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._ready.set)

    async def commit(self) -> None:
        """See Link. Never raises ClaimLost: an owner that may not write does not answer but drops the run."""
        if self._durable >= self._appended:
            return
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._commits[answered] = self._appended
        self._ready.set()
        try:
            await answered
        finally:
            self._commits.pop(answered, None)

    def flush(self) -> None:
        """See Link."""
        self._flush = True
        self._ready.set()

    def call(self, call: ChildCall) -> None:
        """See Link."""
        self._calls.append(call)
        self._ready.set()

    def cancel_call(self, node: str, call: int, rounds: tuple[int, ...] = ()) -> None:
        """See Link."""
        self._cancelled_calls.append((node, call, rounds))
        self._ready.set()

    def reserve(self, ask: RateAsk) -> None:
        """See Link."""
        self._asks.append(ask)
        self._ready.set()

    def idle(self, rest: Rest | None) -> None:
        """See Link."""
        self._rest = rest
        self._ready.set()

    def snapshot(self, pack: Callable[[], bytes]) -> None:
        """See Link. Made at once: the owner must know behind which of the events it belongs."""
        try:
            self._snapshot = (len(self._events), pack())
        except StateUnwritable as error:
            log.info("snapshot.not_taken", error=str(error))

    # --- the owner's side ----------------------------------------------------------------------------------------

    def end(self) -> None:
        """The run is over: nothing more will come."""
        self._ready.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something to report, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return

    def take(self, *, done: bool = False, broken: str | None = None, unreadable: bool = False) -> bytes:
        """Everything that gathered, once, as a Report."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self._ready.clear()
        report = pack_report(
            self._events,
            self._calls,
            self._cancelled_calls,
            self._asks,
            self._rest,
            self._snapshot,
            commit=bool(self._commits),
            flush=self._flush,
            done=done,
            broken=broken,
            unreadable=unreadable,
        )
        self._reported = self._appended
        self._events, self._calls, self._cancelled_calls, self._asks, self._flush = [], [], [], [], False
        self._snapshot = None
        return report

    def durable(self) -> None:
        """The owner made durable whatever was reported so far."""
        self._durable = self._reported
        for answered, appended in self._commits.items():
            if appended <= self._durable and not answered.done():
                answered.set_result(None)
