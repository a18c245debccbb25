"""The runner actor's end of a run: what the run appends gathers here until the owner fetches it."""

import asyncio
import time
from collections.abc import Callable
from itertools import count

from budflow.execution.hand_over import NotHandedOver
from budflow.execution.ports import ChildCall, HandOver
from budflow.execution.records import RateAsk, Rest
from budflow.execution.state_codec import StateUnwritable
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential
from budflow.model.failure import Failure
from budflow.model.journal import encode
from ray_jobs.wire import CredentialAsk, ask_info, pack_report

#: What can wait is held back so long at first, later for a tenth of what the run has taken so far, and at most so long:
#: each report takes about 4 ms of processors on its way to the owner.
LINGER_SECONDS, LINGER_SECONDS_MAX = 0.05, 0.2
#: Of the asks for credentials. Counted for the whole process, so that no late answer is taken for that to a later run.
_numbers = count(1)

log = get_log(__name__)


def linger_seconds(taken_seconds: float) -> float:
    """How long what can wait is held back by a run that has taken so long."""
    return min(max(LINGER_SECONDS, taken_seconds / 10), LINGER_SECONDS_MAX)


class Outbox:
    """A Link over which the owner polls. What needs nobody's answer is held back a while, to come in one batch."""

    def __init__(self, execution_id: str, hand_over: HandOver) -> None:
        self._execution_id, self._hand_over = execution_id, hand_over
        self._events: list[e.StoredEvent] = []
        self._calls: list[ChildCall] = []
        self._cancelled_calls: list[tuple[str, int, tuple[int, ...]]] = []
        self._asks: list[RateAsk] = []
        self._rest: Rest | None = None
        self._snapshot: tuple[int, bytes] | None = None
        self._credential_asks: list[CredentialAsk] = []
        self._awaited: dict[int, asyncio.Future[bytes]] = {}  # Sealed credentials, by the number of their ask.
        self._appended = 0  # Events so far; `_reported` and `_durable` count the same way.
        self._reported = 0
        self._durable = 0
        self._flush = False
        self._commits: dict[asyncio.Future[None], int] = {}
        self._ready, self._since = asyncio.Event(), time.monotonic()
        self._linger: asyncio.TimerHandle | None = None

    # --- the run's side: see Link --------------------------------------------------------------------------------

    def append(self, *events: e.Event) -> None:
        """See Link."""
        self._events.extend(encode(0, event) for event in events)
        self._appended += len(events)
        if self._linger is None:
            seconds = linger_seconds(time.monotonic() - self._since)
            self._linger = asyncio.get_running_loop().call_later(seconds, self._ready.set)

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

    async def open_credential(self, node: str, slot: str) -> OpenCredential:
        """See Link. The owner opens it, and seals it for a key that only this call has."""
        number = next(_numbers)
        receiver = self._hand_over.receiver(ask_info(self._execution_id, number))
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[number] = answered
        self._credential_asks.append(CredentialAsk(number, node, slot, receiver.public_key))
        self._ready.set()
        try:
            return receiver.open(await answered)
        finally:
            self._awaited.pop(number, None)
            # One that was cancelled before it was reported need not be answered at all.
            self._credential_asks = [ask for ask in self._credential_asks if ask.number != number]

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
            self._credential_asks,
            commit=bool(self._commits),
            flush=self._flush,
            done=done,
            broken=broken,
            unreadable=unreadable,
        )
        self._reported = self._appended
        self._events, self._calls, self._cancelled_calls, self._asks, self._flush = [], [], [], [], False
        self._snapshot, self._credential_asks = None, []
        return report

    def durable(self) -> None:
        """The owner made durable whatever was reported so far."""
        self._durable = self._reported
        for answered, appended in self._commits.items():
            if appended <= self._durable and not answered.done():
                answered.set_result(None)

    def hand_over(self, number: int, sealed: bytes | Failure) -> None:
        """The owner's answer to an ask for a credential, or why there is none. Nobody waits for a second one."""
        answered = self._awaited.pop(number, None)
        if answered is None or answered.done():
            return
        if isinstance(sealed, Failure):
            answered.set_exception(NotHandedOver(sealed))
        else:
            answered.set_result(sealed)
