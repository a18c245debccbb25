"""Load with kills at random moments: webhooks at a steady rate, and servers that die of SIGKILL and come back."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.crash.ledger import RunningLedger
from tests.crash.orders import Order, Orders
from tests.crash.server import Server
from tests.crash.shape import SHAPES, Shape
from tests.crash.verdict import Verdict, judge

#: Long enough for a killed server's executions to make a step before the next kill: three without one are poison.
ALIVE_SECONDS = (2.0, 5.0)
DEAD_SECONDS = (0.0, 1.5)
DELAYS = (0.0, 0.0, 0.02, 0.2)
STUCK_SECONDS = 60.0
#: What comes in: every shape that bears it that servers are down for longer.
PATIENT = tuple(shape for shape in SHAPES.values() if not shape.hurries)


@dataclass(frozen=True, slots=True)
class Load:
    """How much, for how long, and from which seed everything random follows."""

    seconds: float
    per_second: float
    seed: int


def under_load(servers: Sequence[Server], ledger: RunningLedger, orders: Orders, load: Load, what: str) -> Verdict:
    """Kill one of the servers again and again while orders come in; at least one stays where there are several."""
    first_death = {server.port: len(server.deaths) for server in servers}
    with sending(servers, orders, load) as sent:
        _kill_at_random(servers, load)
    orders.acknowledge(servers[0], sent, STUCK_SECONDS)
    deaths = sorted(death for server in servers for death in server.deaths[first_death[server.port] :])
    return judge(servers[0], ledger, sent, deaths, STUCK_SECONDS, f"{what}, seed {load.seed}")


@contextmanager
def sending(
    servers: Sequence[Server],
    orders: Orders,
    load: Load,
    *,
    shapes: Sequence[Shape] = PATIENT,
    delays: Sequence[float] = DELAYS,
) -> Iterator[list[Order]]:
    """Send orders at a steady rate until the end of the block, each to one of the servers; the list of them grows."""
    rng = random.Random(f"{load.seed} orders")
    sent: list[Order] = []
    over = threading.Event()

    def send() -> None:
        while not over.wait(1 / load.per_second):
            server, shape, delay = rng.choice(servers), rng.choice(shapes), rng.choice(delays)
            sent.append(orders.send(server, shape, delay_seconds=delay))

    sender = threading.Thread(target=send, name="load")
    sender.start()
    try:
        yield sent
    finally:
        over.set()
        sender.join()


def _kill_at_random(servers: Sequence[Server], load: Load) -> None:
    rng = random.Random(f"{load.seed} kills")
    end = time.monotonic() + load.seconds
    while time.monotonic() < end:
        time.sleep(rng.uniform(*ALIVE_SECONDS))
        server = rng.choice(servers)
        server.kill()
        if len(servers) > 1:
            time.sleep(rng.uniform(*DEAD_SECONDS))
        server.start()
