"""Credentials on their way to the process of a heavy segment: what it asks for, and what it is given, each time once.

The segment is packed with the names of the slots and a ticket. Its process makes a receiver for every slot, and asks
whoever packed it; what comes back is sealed for these receivers and bound to the ticket. Before a further try it asks
again, with the ticket that came with the last answer.
"""

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence

import orjson

from budflow.errors import BudflowError
from budflow.execution.node_result import NodeRun
from budflow.execution.ports import CredentialReceiver, HandOver
from budflow.model.credential_kind import OpenCredential
from budflow.model.failure import Failure

_TICKET_BYTES = 16

#: Called in the process of a segment: gives the answer to a question, both as bytes; blocks.
PutQuestion = Callable[[bytes], bytes]


class HandOverMissing(BudflowError):
    """This process cannot take credentials from another."""

    code = "credential.hand_over_missing"
    http_status = 500
    hint = "This is a fault of how the server is put together; leave `resources` out of the node meanwhile."


class TicketRefused(BudflowError):
    """This is no ticket for the credentials of a node that runs."""

    code = "credential.ticket_refused"
    http_status = 403
    hint = "Each is good for one question. Either the node has ended, or somebody else asked for its credentials."


class NotHandedOver(BudflowError):
    """The process that opens credentials refused to."""

    code = "credential.not_handed_over"
    http_status = 500
    hint = "Look at the credential and at who may use it."

    def __init__(self, failure: Failure) -> None:
        """What was raised over there is told here with the same code."""
        super().__init__(failure.message, hint=failure.hint)
        self.code = failure.code  # type: ignore[misc] # of this one error, that of the other process
        self.retriable = failure.retriable


class NoHandOver:
    """Meets HandOver where there is none."""

    def receiver(self, info: bytes) -> CredentialReceiver:
        """Raises HandOverMissing."""
        raise HandOverMissing

    def seal(self, credential: OpenCredential, public_key: bytes, info: bytes) -> bytes:
        """Raises HandOverMissing."""
        raise HandOverMissing


NO_HAND_OVER = NoHandOver()


def ask_nobody(_question: bytes) -> bytes:
    """A PutQuestion where there is nobody who could answer. Raises HandOverMissing."""
    raise HandOverMissing


class Giving:
    """The side that has the credentials, for one run of a node elsewhere. `ticket` is good for the next question."""

    def __init__(self, run: NodeRun, hand_over: HandOver) -> None:
        self._run, self._hand_over = run, hand_over
        self.ticket = _new_ticket()
        self._given = self._ended = False
        self._reopening: asyncio.Future[None] | None = None

    async def answer(self, question: bytes) -> bytes:
        """The credentials, sealed for the keys in the question, or why the node cannot have them any more.

        From the second time on they are opened anew. Raises TicketRefused for any question but the next one.
        """
        shape = orjson.loads(question)
        ticket, keys = self.ticket, shape["keys"]
        if (
            self._ended
            or not hmac.compare_digest(shape["ticket"], ticket)
            or keys.keys() - self._run.credentials.keys()
        ):
            raise TicketRefused
        self.ticket = _new_ticket()
        try:
            if self._given and self._run.reopen is not None:
                await self._reopened(self._run.reopen())
        except BudflowError as error:
            return orjson.dumps({"refused": Failure.of(error).to_json()})
        if self._ended:
            raise TicketRefused
        self._given = True
        boxes = {
            slot: self._hand_over.seal(self._run.credentials[slot], bytes.fromhex(key), _info(ticket, slot)).hex()
            for slot, key in keys.items()
        }
        return orjson.dumps({"boxes": boxes, "ticket": self.ticket})

    def end(self) -> None:
        """The node has ended: nothing more is given to it, nor opened for it."""
        self._ended = True
        if self._reopening is not None:
            self._reopening.cancel()

    async def _reopened(self, reopen: Awaitable[None]) -> None:
        self._reopening = asyncio.ensure_future(reopen)
        try:
            await self._reopening
        except asyncio.CancelledError:
            if not self._ended:
                raise


class Taking:
    """The side of the process that runs the node."""

    def __init__(self, ticket: str, slots: Sequence[str], hand_over: HandOver, ask: PutQuestion) -> None:
        self._ticket, self._slots, self._hand_over, self._ask = ticket, slots, hand_over, ask

    async def give(self, run: NodeRun) -> None:
        """Give the run what it was packed with; blocks. Raises NotHandedOver, and what receivers and `ask` raise."""
        receivers = {slot: self._hand_over.receiver(_info(self._ticket, slot)) for slot in self._slots}
        keys = {slot: receiver.public_key.hex() for slot, receiver in receivers.items()}
        answer = orjson.loads(self._ask(orjson.dumps({"ticket": self._ticket, "keys": keys})))
        if "refused" in answer:
            raise NotHandedOver(Failure(**answer["refused"]))
        self._ticket = answer["ticket"]
        run.give({slot: receiver.open(bytes.fromhex(answer["boxes"][slot])) for slot, receiver in receivers.items()})


def _new_ticket() -> str:
    return secrets.token_hex(_TICKET_BYTES)


def _info(ticket: str, slot: str) -> bytes:
    """What a sealed credential is bound to."""
    return f"budflow/segment/{ticket}/{slot}".encode()
