"""The faults of the chaos campaign: what dies, how it comes back, and how soon what it hit must go on."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Generic, Protocol, TypeVar

from tests.chaos.stage import LEADER_SECONDS, Stage
from tests.chaos.strike import Strike
from tests.crash.ledger import RunningLedger
from tests.crash.orders import Orders
from tests.crash.server import Server

#: What is dead is known to be; for what is frozen or cut off a lease has to end first.
DEAD_SECONDS, MORE_SECONDS = 3.0, 2.0
#: For how long Redis, or a main, is away.
AWAY_SECONDS = (0.2, 1.5)
#: A frozen actor thaws so long after its lease has ended.
THAW_SECONDS = 1.0


class Installation(Protocol):
    """What orders are sent to, whatever of it is struck."""

    mains: list[Server]
    ledger: RunningLedger
    orders: Orders
    database_url: str
    lease_seconds: float

    def wait_until_ready(self) -> None:
        """Return when it can be struck again."""
        ...


Struck = TypeVar("Struck", bound=Installation)


@dataclass(frozen=True)
class Fault(Generic[Struck]):
    """`strike` kills, and `mend` returns when all is up again. `goal` is in seconds, for 99 of 100 recoveries; of who
    `leads` those of the schedule are among them.
    """

    name: str
    strike: Callable[[Struck, Random], Strike]
    mend: Callable[[Struck, Random], None]
    goal: Callable[[Struck], float] = lambda _: DEAD_SECONDS
    leads: bool = False


def kill_actor(stage: Stage, rng: Random) -> Strike:
    """Kill the process of one runner actor."""
    pid = rng.choice(stage.actors())
    os.kill(pid, signal.SIGKILL)
    return _gave_up(stage, {pid})


def kill_node(stage: Stage, rng: Random) -> Strike:
    """Kill a raylet and all its workers."""
    number = _lose(stage, rng)
    workers = {*stage.cluster.workers(number)}
    stage.cluster.kill_node(number)
    return _gave_up(stage, workers)


def kill_raylet(stage: Stage, rng: Random) -> Strike:
    """Kill a raylet and nothing else of its node: Ray takes its actors for dead, and they go on."""
    number = _lose(stage, rng)
    workers = {*stage.cluster.workers(number)}
    stage.cluster.kill_raylet(number)
    return _gave_up(stage, workers)


def kill_main(stage: Stage, rng: Random) -> Strike:
    """Kill a main, which runs what its webhooks wait for."""
    return _kill(rng.choice(stage.mains))


def kill_leader(stage: Stage, rng: Random) -> Strike:
    """Kill the main that leads."""
    return _kill(stage.find_leader())


def kill_redis(stage: Stage, rng: Random) -> Strike:
    """Kill the Redis that carries wake-ups and has the lease of the leader."""
    stage.redis.pause()
    return Strike(time.time(), None)


def kill_head(stage: Stage, rng: Random) -> Strike:
    """Kill the head of the Ray cluster, with its GCS. A node that is starting would not survive it."""
    stage.wait_for_nodes()
    stage.cluster.kill_node(0)
    return Strike(time.time(), None)


def freeze_actor(stage: Stage, rng: Random) -> Strike:
    """Stop a runner actor for longer than its lease, and let it go on."""
    pid = rng.choice(stage.actors())
    os.kill(pid, signal.SIGSTOP)
    at = time.time()
    time.sleep(stage.lease_seconds + THAW_SECONDS)
    os.kill(pid, signal.SIGCONT)
    return Strike(at, {pid})


def wait_for_actors(stage: Stage, rng: Random) -> None:
    """Their keeper and Ray bring them back."""
    stage.wait_until_ready()


def add_node(stage: Stage, rng: Random) -> None:
    """Another machine comes up in place of the dead one."""
    stage.begin_node()
    stage.wait_until_ready()


def start_main(stage: Stage, rng: Random) -> None:
    """Start what died again."""
    time.sleep(rng.uniform(*AWAY_SECONDS))
    for main in stage.mains:
        if not main.running:
            main.start()


def start_redis(stage: Stage, rng: Random) -> None:
    """Start it again, empty, and wait until a leader has its lease there."""
    time.sleep(rng.uniform(*AWAY_SECONDS))
    stage.redis.resume()
    stage.find_leader()


def start_head(stage: Stage, rng: Random) -> None:
    """Start it again on what its Redis has. It rules where it replaces an actor that dies."""
    stage.cluster.restart_head()
    stage.wait_until_ready()
    if not stage.hasty:
        kill_actor(stage, rng)
        stage.wait_until_up()


FAULTS: Mapping[str, Fault[Stage]] = {
    fault.name: fault
    for fault in (
        Fault("actor", kill_actor, wait_for_actors),
        Fault("node", kill_node, add_node),
        Fault("raylet", kill_raylet, add_node),
        Fault("main", kill_main, start_main),
        Fault("leader", kill_leader, start_main, lambda _: LEADER_SECONDS + MORE_SECONDS, leads=True),
        Fault("redis", kill_redis, start_redis),
        Fault("head", kill_head, start_head),
        Fault("frozen", freeze_actor, wait_for_actors, lambda stage: stage.lease_seconds + MORE_SECONDS),
    )
}


def _kill(main: Server) -> Strike:
    pid = main.serving.process.pid
    main.kill()
    return Strike(main.deaths[-1], {pid})


def _lose(stage: Stage, rng: Random) -> int:
    number = rng.choice(stage.nodes)
    stage.nodes.remove(number)
    return number


def _gave_up(stage: Stage, pids: set[int]) -> Strike:
    at = time.time()
    stage.given_up |= pids
    return Strike(at, pids)
