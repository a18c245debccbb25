"""The verdict over crashed executions: what the ledger outside and the journals inside say became of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.crash.audit import unrecorded
from tests.crash.ledger import RunningLedger
from tests.crash.orders import TERMINAL, JournaledEvent, Order, doubled, events_of, missing, settle
from tests.crash.server import Server

WAIT_STARTED, WAIT_ENDED = "wait.started", "wait.ended"
SUMS = ("kills", "executions", "resumed", "lost", "duplicated", "stuck")


@dataclass(slots=True)
class Verdict:
    """Sums over some orders. `findings` say what is not well."""

    kills: int = 0
    executions: int = 0
    resumed: int = 0
    lost: int = 0
    duplicated: int = 0
    stuck: int = 0
    recovery_seconds: list[float] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, nothing stuck."""
        return not (self.lost or self.duplicated or self.stuck)

    def add(self, other: "Verdict") -> None:
        """Add another's sums."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.recovery_seconds += other.recovery_seconds
        self.findings += other.findings


def judge(
    server: Server,
    ledger: RunningLedger,
    orders: Sequence[Order],
    deaths: Sequence[float],
    seconds: float,
    what: str,
    *,
    hits: Callable[[Sequence[JournaledEvent]], Sequence[float]] | None = None,
) -> Verdict:
    """Wait until the orders have come to their end, and judge them. `server` tells their state; `what` names them.

    `hits` are those of the deaths that hit the execution of a journal, where not each death hits them all.

    Lost: acknowledged, and unknown, or ended otherwise than its shape or without all of its effects; also uses of a
    credential that are not on record. Stuck: never acknowledged, or without an end after `seconds`. Duplicated: effects
    that came under several keys.
    """
    verdict = Verdict(kills=len(deaths), executions=len(orders))
    found = settle(server, orders, seconds)
    absent = {effect.order: effect for effect in missing(orders, ledger)}
    for order in orders:
        status = found.get(order.id, "never acknowledged")
        where = f"{what}: {order.shape.name} {order.id} ({order.execution_id})"
        if status not in TERMINAL and status != "unknown":
            verdict.stuck += 1
            verdict.findings.append(f"{where} is stuck: {status}")
            continue
        if status != order.shape.ends or order.id in absent:
            verdict.lost += 1
            verdict.findings.append(f"{where} is lost: {_fate(server, order, status)}, {absent.get(order.id)} missing")
        if status != "unknown":
            events = events_of(server, str(order.execution_id))
            hit = deaths if hits is None else hits(events)
            verdict.resumed += any(_survived(events, death) for death in hit)
            verdict.recovery_seconds += recoveries(events, hit)
    for effect in sorted(unrecorded(server, ledger, orders)):
        verdict.lost += 1
        verdict.findings.append(f"{what}: the use of a credential for {effect} is not on record")
    for effect in sorted(doubled(orders, ledger)):
        verdict.duplicated += 1
        verdict.findings.append(f"{what}: {effect} was done under several keys")
    return verdict


def recoveries(events: Sequence[JournaledEvent], deaths: Sequence[float]) -> list[float]:
    """Seconds from each death that the execution survived, while it did not wait, to its next event."""
    found = []
    for death in deaths:
        before = [event for event in events if event.at <= death]
        waits = sum((event.type == WAIT_STARTED) - (event.type == WAIT_ENDED) for event in before)
        if _survived(events, death) and not waits:
            found.append(next(event.at for event in events if event.at > death) - death)
    return found


def _survived(events: Sequence[JournaledEvent], death: float) -> bool:
    return bool(events) and events[0].at <= death < events[-1].at


def _fate(server: Server, order: Order, status: str) -> str:
    if status == "unknown":
        return status
    execution = server.client.get(f"/executions/{order.execution_id}").json()["execution"]
    failure = execution.get("failure") or {}
    return " ".join(filter(None, (status, failure.get("code"), failure.get("message"))))
