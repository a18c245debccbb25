"""The same partition through a Ray cluster: its head and one node on this side, and a node on the far one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.far_side import relayed
from tests.chaos.keeper import running_keeper
from tests.chaos.partition import UP_SECONDS, Divided, living, open_sides, ordering, port_of
from tests.processes import environment, eventually
from tests.ray_cluster import RayCluster, ray_cluster

#: On a busy machine a partition lasts long, and the head would take the far node for dead, which then ends itself.
PATIENCE = '--system-config={"health_check_failure_threshold": 100}'


@contextmanager
def open_divided_on_ray(directory: Path, database_url: str, s3_url: str, *, lease_seconds: float) -> Iterator[Divided]:
    """A runner actor on either side, with blobs at `s3_url` on loopback. Raises CannotStart."""
    with ExitStack() as stack:
        sides = stack.enter_context(open_sides(directory, database_url, lease_seconds=lease_seconds))
        side = sides.side
        endpoint = s3_url.partition("endpoint_url=")[2]
        blobs = stack.enter_context(relayed(side.outside.here, port_of(endpoint)))
        s3 = {"BUDFLOW_BLOB_URL": s3_url.replace(endpoint, f"http://{side.outside.here}:{blobs}")}
        main, orders = stack.enter_context(ordering(directory, sides.ledger, sides.settings | s3))
        head = ("--num-cpus=0", "--include-dashboard=false", PATIENCE)
        cluster = stack.enter_context(ray_cluster(*head, host=side.inside.here))
        near = cluster.add_unreaped("--num-cpus=1")
        cluster.add_elsewhere(side.inside.there, side.command(), "--num-cpus=1")
        own = environment(directory / "keeper", **(sides.there | s3 | cluster.environment()))
        keeper = stack.enter_context(running_keeper(cluster.address, own, directory / "keeper.log"))
        try:
            actors = eventually(lambda: len(found := living(main)) == 2 and found, "two actors are up", UP_SECONDS)
        except AssertionError as error:
            error.add_note(keeper.said())
            raise
        here = {*cluster.workers(near)}
        [near_runner] = [runner for runner, pid in actors.items() if pid in here]
        [(far_runner, far_pid)] = [(runner, pid) for runner, pid in actors.items() if pid not in here]
        yield Divided(
            [main],
            near_runner,
            far_runner,
            far_pid,
            lambda: _logs(cluster),
            side,
            sides.ledger,
            orders,
            database_url,
            lease_seconds,
        )


def _logs(cluster: RayCluster) -> str:
    """What all workers of the cluster wrote."""
    return "\n".join(
        path.read_text(errors="replace") for path in cluster.directory.glob("*/session_*/logs/worker-*.err")
    )
