"""From settings to Ray, the executor or the pool of a worker: imported from outside, and imports no Ray by itself."""

import os
import pickle
import secrets
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from budflow.credentials.key_file import known_keys
from budflow.credentials.settings_hand_over import Given
from budflow.errors import BudflowError
from budflow.runner import open_hand_over
from budflow.settings import Settings
from ray_jobs.placement import Wanted
from ray_jobs.sandbox_place import SandboxPlace
from ray_jobs.segment_policy import SegmentPolicy

if TYPE_CHECKING:
    from ray_jobs.cluster import Cluster
    from ray_jobs.executor import RayExecutor
    from ray_jobs.runner import OpenRunner
    from ray_jobs.task_executor import TaskExecutor
    from ray_jobs.worker_pool import WorkerPool

#: How boto3 is told who it is; actors are handed them sealed, as their settings.
HANDED_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "AWS_ENDPOINT_URL_S3",
)
TOKEN_NAME = "ray-token"  # noqa: S105 - the name of the file that holds it


class NeedsPostgresql(BudflowError):
    """A Ray cluster beyond this machine needs PostgreSQL."""

    code = "ray.needs_postgresql"
    http_status = 500
    hint = "Set `BUDFLOW_DATABASE_URL`, or `BUDFLOW_RAY_ADDRESS=local`: a SQLite file cannot be shared by machines."


def check_settings(settings: Settings) -> None:
    """Refuse settings that cannot work. Raises NeedsPostgresql."""
    if settings.ray_address != "local" and settings.database_url is None:
        raise NeedsPostgresql(f"`ray_address` is {settings.ray_address}, and `database_url` is not set.")


def open_ray(
    settings: Settings, runner: str, open_runner: "OpenRunner", *, num_cpus: int | None = None
) -> "RayExecutor":
    """Start or join Ray and its runner actors; blocks for 5 to 10 s, and for 90 s at most where they do not start.

    Raises NeedsPostgresql, RayStartFailed and, where `ray_address` is no `local`, what `join` raises.

    `runner` is the name that the claims carry, `open_runner` is called in Ray's processes, so it must be importable
    there. `num_cpus` is what a local Ray takes for its own; unset: the machine's.
    """
    check_settings(settings)
    _prepare(settings)
    from ray_jobs.cluster import LOCAL, Cluster  # noqa: PLC0415 - imports ray, which takes 0.5 s
    from ray_jobs.executor import RayExecutor  # noqa: PLC0415 - imports ray, as said above
    from ray_jobs.join import find  # noqa: PLC0415 - imports ray, as said above

    if settings.ray_address == LOCAL:
        place = SandboxPlace.wanted(settings)
        sandbox = None if place is None else place.directory
        cluster = Cluster(
            LOCAL, settings.data_dir, dashboard=settings.ray_dashboard, num_cpus=num_cpus, sandbox=sandbox
        )
    else:
        cluster = find(settings.ray_address, settings.data_dir)
    return RayExecutor.open(
        cluster,
        settings.ray_runners,
        runner,
        settings.http_allow,
        open_runner,
        open_hand_over(),
        SegmentPolicy.of(settings),
    )


def open_pool(settings: Settings, wanted: Wanted) -> "tuple[Cluster, WorkerPool]":
    """Join the cluster at `ray_address`, where a worker is to keep runner actors; blocks for 1 to 30 s.

    Raises NeedsPostgresql, EncryptionKeysInvalid, EncryptionKeysExposed and what `join` raises.
    """
    if settings.database_url is None:
        raise NeedsPostgresql("`database_url` is not set: SQLite belongs to one process.")
    keys = settings.encryption_keys or known_keys(settings.data_dir)
    given = settings.model_copy(update={"encryption_keys": keys, "data_dir": settings.data_dir.resolve()})
    variables = {name: os.environ[name] for name in HANDED_VARIABLES if name in os.environ}
    from ray_jobs.join import join  # noqa: PLC0415 - imports ray, which takes 0.5 s
    from ray_jobs.worker_pool import WorkerPool  # noqa: PLC0415 - imports ray, as said above

    cluster, joined = join(settings.ray_address, settings.data_dir)
    return cluster, WorkerPool(Given(given, variables), wanted, joined)


def open_tasks(settings: Settings) -> "TaskExecutor":
    """Start or join Ray to run single executions as tasks, without a server or a database; blocks for 1 to 30 s.

    Raises RayStartFailed and, where `ray_address` is no `local`, what `join` raises.
    """
    _prepare(settings)
    from ray_jobs.cluster import LOCAL, Cluster, RayStartFailed  # noqa: PLC0415 - imports ray, which takes 0.5 s
    from ray_jobs.join import join  # noqa: PLC0415 - imports ray, as said above
    from ray_jobs.task_executor import TaskExecutor, open_in_task  # noqa: PLC0415 - imports ray, as said above

    try:
        if settings.ray_address == LOCAL:
            # Nobody starts a sandboxd for it: one that runs already can be used.
            place = None if settings.sandbox_address is None else SandboxPlace.wanted(settings)
            sandbox = None if place is None else place.directory
            cluster = Cluster(LOCAL, settings.data_dir, dashboard=False, sandbox=sandbox)
            joined = cluster.start()
        else:
            cluster, joined = join(settings.ray_address, settings.data_dir)
    except RayStartFailed as error:
        hint = "Look at the memory and /dev/shm of this machine, or leave --ray out to run it in process."
        raise RayStartFailed(error.message, hint=hint) from error
    return TaskExecutor(
        cluster,
        joined,
        pickle.dumps(partial(open_in_task, settings.http_allow, settings.file_roots, SegmentPolicy.of(settings))),
    )


def _prepare(settings: Settings) -> None:
    """Have everything ready that Ray reads when it is imported and started."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in _environment(settings).items():
        os.environ.setdefault(name, value)


def _environment(settings: Settings) -> dict[str, str]:
    """What Ray reads from the environment beyond what this package sets. What is set already stays."""
    environment = {}
    if settings.ray_address == "local" and "RAY_AUTH_TOKEN" not in os.environ:
        environment["RAY_AUTH_TOKEN_PATH"] = str(_token_file(settings.data_dir))
    if not settings.ray_dashboard:
        # Only the dashboard shows these.
        environment |= {"RAY_enable_metrics_collection": "0", "RAY_event_stats": "0"}
        environment |= {"RAY_task_events_report_interval_ms": "0"}
    return environment


def _token_file(data_dir: Path) -> Path:
    """The file with the secret of a local Ray, made once; whoever knows it can run anything as this user."""
    path = data_dir.resolve() / TOKEN_NAME
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path
