"""Whether the audit of credentials is whole: every request that was seen with one was on record before it was sent."""

from collections.abc import Iterator, Sequence

from tests.crash.ledger import Effect, RunningLedger
from tests.crash.orders import Order
from tests.crash.server import Server
from tests.crash.shape import CREDENTIAL

PAGE = 200


def unrecorded(server: Server, ledger: RunningLedger, orders: Sequence[Order]) -> set[Effect]:
    """The effects that were asked for with the credential, and of whose node the audit knows no use."""
    signed = {
        Effect(order.id, node, item): (order.execution_id, node)
        for order in orders
        for node, item in order.shape.effects
        if order.shape.document["nodes"].get(node, {}).get("credentials")
    }
    if not signed:
        return set()
    recorded = {*_uses(server)}
    return {effect for effect in signed.keys() & ledger.effects().keys() if signed[effect] not in recorded}


def _uses(server: Server) -> Iterator[tuple[str, str]]:
    cursor: str | None = None
    while True:
        params = {"limit": str(PAGE)} | ({} if cursor is None else {"cursor": cursor})
        page = server.client.get(f"/credentials/{CREDENTIAL}/uses", params=params).raise_for_status().json()
        for use in page["uses"]:
            yield use["execution_id"], use["node"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
