"""Orders: requests to a shape's webhook, sent again until they are acknowledged, and what must become of them."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
import orjson

from tests.crash.ledger import Effect, RunningLedger
from tests.crash.server import Server
from tests.crash.shape import Shape, body_of, linked

SENDERS = 32
ANSWER_SECONDS = 60.0
PAUSE_SECONDS = 0.05
UNAVAILABLE = 503
EXECUTION_HEADER = "X-Budflow-Execution"
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(slots=True)
class Order:
    """One request, with its idempotency key `id`. `execution_id` is set once it was acknowledged; `sent` is over when
    the last attempt was answered, or the connection broke.
    """

    id: str
    shape: Shape
    body: Mapping[str, Any]
    execution_id: str | None = None
    sent: "Future[None] | None" = None


@dataclass(frozen=True, slots=True)
class JournaledEvent:
    """What the API tells of an event."""

    type: str
    at: float  # Unix time.
    data: Mapping[str, Any]


class Orders:
    """Sends orders to servers, and knows which of them were acknowledged."""

    def __init__(self, ledger: RunningLedger, prefix: str) -> None:
        self.ledger = ledger
        self._prefix = prefix
        self._count = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="orders")
        self._http = httpx2.Client(timeout=ANSWER_SECONDS)

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown()
        self._http.close()

    def send(self, server: Server, shape: Shape, *, delay_seconds: float = 0, hold: Sequence[str] = ()) -> Order:
        """Send an order once, in the background."""
        with self._lock:
            self._count += 1
            name = f"{self._prefix}-{self._count}"
        order = Order(name, shape, body_of(name, self.ledger.url, delay_seconds=delay_seconds, hold=hold))
        order.sent = self._pool.submit(self._post, server.url, order)
        return order

    def acknowledge(self, server: Server, orders: Iterable[Order], seconds: float) -> None:
        """Send every order again, with its key, that is not acknowledged, until all are or time is up."""
        end = time.monotonic() + seconds
        waiting = [*orders]
        while True:
            for order in waiting:
                if order.sent is not None:
                    order.sent.result()
            waiting = [order for order in waiting if order.execution_id is None]
            if not waiting or time.monotonic() > end:
                return
            for order in waiting:
                order.sent = self._pool.submit(self._post, server.url, order)

    def _post(self, url: str, order: Order) -> None:
        """Any answer but "not now" that names an execution acknowledges it; of no answer a sender learns nothing."""
        try:
            answer = self._http.post(
                f"{url}/webhook/{order.shape.name}", json=order.body, headers={"Idempotency-Key": order.id}
            )
        except httpx2.TransportError:
            time.sleep(PAUSE_SECONDS)
            return
        if answer.status_code == UNAVAILABLE or EXECUTION_HEADER not in answer.headers:
            time.sleep(PAUSE_SECONDS)
        else:
            order.execution_id = answer.headers[EXECUTION_HEADER]


def publish(server: Server, shapes: Iterable[Shape]) -> None:
    """Store and publish the shapes with what they call."""
    for shape in shapes:
        document = shape.document
        if shape.callee is not None:
            document = linked(document, _published(server, shape.callee))
        _published(server, document)


def statuses(server: Server, orders: Iterable[Order]) -> dict[str, str]:
    """The status of the execution of each acknowledged order, by the order's id.

    `unknown` where there is none, `unavailable` where the server cannot say it now.
    """
    found: dict[str, str] = {}
    for order in orders:
        answer = server.client.get(f"/executions/{order.execution_id}", params={"detail": "status"})
        if answer.status_code == 404:
            found[order.id] = "unknown"
        elif answer.status_code == UNAVAILABLE:
            found[order.id] = "unavailable"
        else:
            found[order.id] = answer.raise_for_status().json()["execution"]["status"]
    return found


def settle(server: Server, orders: Iterable[Order], seconds: float) -> dict[str, str]:
    """The statuses once all are terminal or unknown, or when time is up."""
    acknowledged = {order.id: order for order in orders if order.execution_id is not None}
    found: dict[str, str] = {}
    end = time.monotonic() + seconds
    while acknowledged:
        now = statuses(server, acknowledged.values())
        found.update(now)
        over = time.monotonic() > end
        for order_id, status in now.items():
            if over or status == "unknown" or status in TERMINAL:
                del acknowledged[order_id]
        if acknowledged:
            time.sleep(PAUSE_SECONDS)
    return found


def events_of(server: Server, execution_id: str) -> list[JournaledEvent]:
    """The journal of an execution that has ended."""
    with server.client.stream("GET", f"/executions/{execution_id}/events") as answer:
        return [*_events(answer.iter_lines())]


def missing(orders: Iterable[Order], ledger: RunningLedger) -> set[Effect]:
    """The effects of the orders that never came."""
    delivered = ledger.effects()
    return {effect for order in orders for effect in order.shape.expected(order.id)} - delivered.keys()


def doubled(orders: Iterable[Order], ledger: RunningLedger) -> set[Effect]:
    """The effects of the orders that came under several keys."""
    names = {order.id for order in orders}
    return {effect for effect, seen in ledger.effects().items() if effect.order in names and seen.doubled}


def _published(server: Server, document: Mapping[str, Any]) -> str:
    workflow_id = server.serving.create(document)
    server.client.post(f"/workflows/{workflow_id}/publish", json={}).raise_for_status()
    return workflow_id


def _events(lines: Iterable[str]) -> Iterator[JournaledEvent]:
    for line in lines:
        if line.startswith("data: "):
            told = orjson.loads(line.removeprefix("data: "))
            at = datetime.fromisoformat(told["at"]).timestamp()
            yield JournaledEvent(told["type"], at, told["data"])
