"""A link around another one, for what is to happen on the way to the journal."""

from collections.abc import Callable

from budflow.execution.ports import ChildCall, Link
from budflow.execution.records import RateAsk, Rest
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential


class LinkAround:
    """Meets Link by handing everything on."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def append(self, *events: e.Event) -> None:
        """See Link."""
        self._link.append(*events)

    async def commit(self) -> None:
        """See Link."""
        await self._link.commit()

    def flush(self) -> None:
        """See Link."""
        self._link.flush()

    def call(self, call: ChildCall) -> None:
        """See Link."""
        self._link.call(call)

    def cancel_call(self, node: str, call: int, rounds: tuple[int, ...] = ()) -> None:
        """See Link."""
        self._link.cancel_call(node, call, rounds)

    def reserve(self, ask: RateAsk) -> None:
        """See Link."""
        self._link.reserve(ask)

    async def open_credential(self, node: str, slot: str) -> OpenCredential:
        """See Link."""
        return await self._link.open_credential(node, slot)

    def idle(self, rest: Rest | None) -> None:
        """See Link."""
        self._link.idle(rest)

    def snapshot(self, pack: Callable[[], bytes]) -> None:
        """See Link."""
        self._link.snapshot(pack)
