"""A lane: a database, a server that dies and comes back on it, a ledger outside, and trials one after the other."""

import base64
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.crash.fault import CUTS, KILLS, Fault
from tests.crash.ledger import RunningLedger, running_ledger
from tests.crash.orders import TERMINAL, Order, Orders, events_of, publish, statuses
from tests.crash.server import Server, running_server
from tests.crash.shape import SHAPES, Shape, credential_for
from tests.crash.verdict import Verdict, judge

#: How long effects take: enough for those that run side by side to be under way when the server dies.
DELAY_SECONDS = 0.02
REACH_SECONDS = 20.0
LOOK_SECONDS = 0.2
#: After this an execution that has not ended is stuck.
STUCK_SECONDS = 30.0
#: A shape's point is tried at its first write, and at a later one where there are so many.
MANY = 4

#: Mains that share a database share its key; each that keeps one itself could not read what the others sealed.
ENCRYPTION_KEYS = base64.b64encode(bytes(range(32))).decode()

#: What may kill a server that only just came up to recover what the one before it left.
IN_FLIGHT = Fault("node.started", 1, "after")
RECOVERY_POINTS = (
    *(Fault("store.release_dead", 1, moment) for moment in KILLS),
    Fault("store.claim", 1, "after"),
    Fault("store.put_snapshot", 1, "after"),
    *(Fault("execution.started", 1, moment) for moment in KILLS),
)


@dataclass(frozen=True, slots=True)
class Lane:
    """Where trials happen."""

    name: str
    server: Server
    ledger: RunningLedger
    orders: Orders

    def points(self, shape: Shape) -> tuple[Verdict, Mapping[str, int]]:
        """What comes of the shape where nothing happens, and how many events of which types it writes then."""
        order = self.orders.send(self.server, shape)
        self.orders.acknowledge(self.server, [order], STUCK_SECONDS)
        verdict = judge(self.server, self.ledger, [order], [], STUCK_SECONDS, f"{self.name} without a fault")
        if not verdict.clean:
            self._clear([order])
            return verdict, {}
        return verdict, Counter(event.type for event in events_of(self.server, str(order.execution_id)))

    def crash(self, shapes: Sequence[Shape], fault: Fault, *recovery: Fault) -> Verdict:
        """Let executions of the shapes run into a fault, and every server after into the next; judge what came of it.

        A fault that nothing ran into kills nobody: `kills` says how many did.
        """
        what = f"{self.name} {' '.join(map(str, (fault, *recovery)))}"
        first_death = len(self.server.deaths)
        self.server.arm(fault)
        orders = [self.orders.send(self.server, shape, delay_seconds=DELAY_SECONDS) for shape in shapes]
        dead = self._died(orders)
        for next_fault in recovery if dead else ():
            self.server.arm(next_fault)
            dead = not self.server.start() or self.server.died(REACH_SECONDS)
            if not dead:
                break
        self.server.disarm()
        if dead:
            self.server.start()
        self.orders.acknowledge(self.server, orders, STUCK_SECONDS)
        verdict = judge(self.server, self.ledger, orders, self.server.deaths[first_death:], STUCK_SECONDS, what)
        if verdict.stuck:
            self._clear(orders)
        return verdict

    def cut(self, shapes: Sequence[Shape], fault: Fault) -> tuple[Verdict, bool]:
        """Let executions of the shapes run into a fault of the database, which the server survives.

        Returns what came of it, and whether anything ran into the fault.
        """
        self.server.arm(fault)
        orders = [self.orders.send(self.server, shape, delay_seconds=DELAY_SECONDS) for shape in shapes]
        self.orders.acknowledge(self.server, orders, STUCK_SECONDS)
        verdict = judge(self.server, self.ledger, orders, [], STUCK_SECONDS, f"{self.name} {fault}")
        if verdict.stuck:
            self._clear(orders)
        return verdict, self.server.disarm()

    def _died(self, orders: Sequence[Order]) -> bool:
        """Whether the server died before all orders had come to their end."""
        for _ in range(int(REACH_SECONDS / LOOK_SECONDS)):
            if self.server.died(LOOK_SECONDS):
                return True
            if all(order.execution_id is not None for order in orders):
                with contextlib.suppress(Exception):  # It dies while it is asked.
                    if TERMINAL.issuperset(statuses(self.server, orders).values()):
                        return self.server.died(LOOK_SECONDS)
        return False

    def _clear(self, orders: Sequence[Order]) -> None:
        """What is stuck must not be in the way of the next trial."""
        for order in orders:
            if order.execution_id is not None:
                self.server.client.post(f"/executions/{order.execution_id}/cancel", json={})


@contextlib.contextmanager
def open_lane(name: str, directory: Path, database_url: str | None = None) -> Iterator[Lane]:
    """A lane on which all shapes are published; without a URL on SQLite."""
    # So few that every shape is taken up from a snapshot, too.
    settings = {"BUDFLOW_SNAPSHOT_EVENTS": "5"}
    if database_url is not None:
        settings |= shared(database_url, directory)
    with (
        running_ledger(directory / "ledger") as ledger,
        running_server(directory / "server", **settings) as server,
        contextlib.closing(Orders(ledger, name)) as orders,
    ):
        server.client.post("/credentials", json=credential_for(ledger.url)).raise_for_status()
        publish(server, SHAPES.values())
        yield Lane(name, server, ledger, orders)


def shared(database_url: str, directory: Path) -> dict[str, str]:
    """The settings that several mains on one database have in common."""
    return {
        "BUDFLOW_DATABASE_URL": database_url,
        "BUDFLOW_ENCRYPTION_KEYS": ENCRYPTION_KEYS,
        "BUDFLOW_BLOB_URL": f"file://{directory}/blobs",
    }


def kills(points: Mapping[str, int]) -> Iterator[Fault]:
    """Every transition of a shape, before and after."""
    for point, count in points.items():
        for number in (1, 1 + count // MANY) if count >= MANY else (1,):
            for moment in KILLS:
                yield Fault(point, number, moment)
    if sum(points.values()) >= 2 * MANY:
        yield from (Fault("store.put_snapshot", 1, moment) for moment in KILLS)


def cuts(points: Mapping[str, int]) -> Iterator[Fault]:
    """Every transition of a shape, with the database gone."""
    for point in points:
        for moment in CUTS:
            yield Fault(point, 1, moment)
