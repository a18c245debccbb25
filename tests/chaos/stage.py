"""The stage of the chaos campaign: mains, actors on a Ray cluster, databases, and the ledger outside."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.keeper import Keeper, running_keeper
from tests.crash.lane import shared
from tests.crash.ledger import RunningLedger, running_ledger
from tests.crash.load import PATIENT
from tests.crash.orders import Orders, publish
from tests.crash.server import Server, running_server
from tests.crash.shape import credential_for
from tests.processes import environment, eventually
from tests.ray_cluster import RayCluster, ray_cluster
from tests.servers import RedisServer

MAINS = 2
#: Ray nodes beside the head, which runs no actors, and actors on each, which is one a CPU; on a hasty stage one.
NODES, ACTORS = 2, 2
LEADER_SECONDS = 1.0
UP_SECONDS = 60.0


@dataclass(slots=True)
class Stage:
    """All that may be struck. `nodes` are the numbers of the Ray nodes, and more are `coming`; processes in `given_up`
    are no actors any more. A `hasty` stage need not be whole again before the next kill.
    """

    mains: list[Server]
    ledger: RunningLedger
    orders: Orders
    redis: RedisServer
    database_url: str
    lease_seconds: float
    cluster: RayCluster
    keeper: Keeper
    starters: ThreadPoolExecutor
    hasty: bool = False
    nodes: list[int] = field(default_factory=list)
    coming: list[Future[None]] = field(default_factory=list)
    given_up: set[int] = field(default_factory=set)

    def cluster_of(self, main: Server) -> dict[str, Any]:
        """What a main says of the installation."""
        shown: dict[str, Any] = main.client.get("/cluster").raise_for_status().json()
        return shown

    @property
    def actors_each(self) -> int:
        """How many a node has."""
        return 1 if self.hasty else ACTORS

    def actors(self) -> list[int]:
        """The processes of the actors that run executions."""
        runners = self.cluster_of(self.mains[0])["runners"]
        return sorted({one["pid"] for one in runners if one["kind"] == "ray"} - self.given_up)

    def leader(self) -> Server | None:
        """The main that says that it leads."""
        for main in self.mains:
            leader = self.cluster_of(main)["leader"]
            if leader is not None and leader["here"]:
                return main
        return None

    def find_leader(self) -> Server:
        """The main that leads, as soon as one does."""
        found: Server = eventually(self.leader, "somebody leads", UP_SECONDS)
        return found

    def wait_until_up(self) -> None:
        """Return when every node has its actors again."""
        self.wait_for_nodes()
        self._wait_for_actors(self.actors_each * len(self.nodes))

    def wait_until_ready(self) -> None:
        """Return when there is something to strike again: all of it, or where this stage is hasty something."""
        if not self.hasty:
            self.wait_until_up()
            return
        eventually(lambda: self.nodes, "a Ray node is up", UP_SECONDS)
        self._wait_for_actors(1)

    def wait_for_nodes(self) -> None:
        """Return when none is starting any more."""
        for node in self.coming:
            node.result()
        self.coming.clear()

    def begin_node(self) -> None:
        """Begin to start one more Ray node, whose workers may outlive its raylet."""
        self.coming.append(self.starters.submit(self._add_node))

    def _add_node(self) -> None:
        self.nodes.append(self.cluster.add_unreaped(f"--num-cpus={self.actors_each}"))

    def _wait_for_actors(self, count: int) -> None:
        try:
            eventually(lambda: len(self.actors()) >= count, f"{count} actors are up", UP_SECONDS)
        except AssertionError as error:
            error.add_note(self.keeper.said())
            raise


@contextmanager
def open_stage(directory: Path, database_url: str, *, lease_seconds: float, hasty: bool = False) -> Iterator[Stage]:
    """A stage on which everything is up and every patient shape is published. Raises CannotStart."""
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        redis, gcs = _redis(stack), _redis(stack)
        cluster = stack.enter_context(
            ray_cluster("--num-cpus=0", "--include-dashboard=false", gcs_redis=f"127.0.0.1:{gcs.port}")
        )
        settings = shared(database_url, directory) | {
            "BUDFLOW_REDIS_URL": redis.url(),
            "BUDFLOW_LEASE_SECONDS": str(lease_seconds),
            "BUDFLOW_LEADER_SECONDS": str(LEADER_SECONDS),
            "BUDFLOW_RETENTION_EXECUTIONS_MAX": "100000",
        }
        starters = stack.enter_context(ThreadPoolExecutor(NODES, thread_name_prefix="nodes"))
        own = environment(directory / "keeper", **settings, **cluster.environment())
        keeper = stack.enter_context(running_keeper(cluster.address, own, directory / "keeper.log"))
        ledger = stack.enter_context(running_ledger(directory / "ledger"))
        orders = stack.enter_context(closing(Orders(ledger, "chaos")))
        mains: list[Server] = []
        stage = Stage(mains, ledger, orders, redis, database_url, lease_seconds, cluster, keeper, starters, hasty)
        for _ in range(NODES):
            stage.begin_node()
        for number in range(MAINS):
            main = running_server(directory / f"main-{number}", BUDFLOW_CLAIM="false", **settings)
            mains.append(stack.enter_context(main))
        mains[0].client.post("/credentials", json=credential_for(ledger.url)).raise_for_status()
        publish(mains[0], PATIENT)
        stage.wait_until_up()
        yield stage


def _redis(stack: ExitStack) -> RedisServer:
    server = RedisServer.start()
    stack.callback(server.stop)
    return server
