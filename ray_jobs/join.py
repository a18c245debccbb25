"""Joining a Ray cluster that runs elsewhere: everything that can be wrong is found out before Ray's driver starts.

The driver itself tells little and late: it repeats for 20 to 60 s and then ends the process or raises what came last.
"""

import socket
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # it brings no types
import orjson
from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
from ray._private import ray_constants, services
from ray._private.grpc_utils import init_grpc_channel
from ray._private.utils import check_version_info, compute_version_info
from ray.core.generated import gcs_pb2, gcs_service_pb2, gcs_service_pb2_grpc
from ray.exceptions import AuthenticationError

from budflow.errors import BudflowError
from ray_jobs.cluster import JOIN_SECONDS, Cluster, Joined

#: What Ray generates from its protocol, which has no types.
MESSAGES: Any = gcs_service_pb2
SERVICES: Any = gcs_service_pb2_grpc
ALIVE: Any = gcs_pb2.GcsNodeInfo.ALIVE  # type: ignore[attr-defined] # as said above

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0


class RayUnreachable(BudflowError):
    """There is no Ray at this address."""

    code = "ray.unreachable"
    http_status = 503
    hint = "Give the address of the head's GCS, such as head.example:6379, and look whether the head runs."


class RayTokenRefused(BudflowError):
    """The Ray cluster refuses the token, or none was found."""

    code = "ray.token_refused"
    http_status = 401
    hint = (
        "Set `RAY_AUTH_TOKEN` to the token that the head was started with, or `RAY_AUTH_TOKEN_PATH` to a file with it; "
        "for a cluster without tokens `RAY_AUTH_MODE=disabled`."
    )


class RayVersionMismatch(BudflowError):
    """The Ray cluster runs another version of Ray or Python."""

    code = "ray.version_mismatch"
    http_status = 500
    hint = "Start this worker with the versions of the cluster, best from the image that its nodes run."


class NoRayNodeHere(BudflowError):
    """No node of the Ray cluster runs on this machine."""

    code = "ray.no_node_here"
    http_status = 503
    hint = "A worker reaches the cluster by a node beside it: `ray start --address=HOST:PORT --num-cpus=0`, then again."


def join(address: str, data_dir: Path) -> tuple[Cluster, Joined]:
    """Connect this process to the cluster at `host:port`; blocks for 1 to 30 s.

    Raises what `find` raises, and RayStartFailed for what is left.
    """
    cluster = find(address, data_dir)
    return cluster, cluster.start(JOIN_SECONDS)


def find(address: str, data_dir: Path) -> Cluster:
    """The cluster at `host:port`, which this process can join and has not joined; blocks for 1 to 15 s.

    Raises RayUnreachable, RayTokenRefused, RayVersionMismatch and NoRayNodeHere.
    """
    gcs = _reachable(address)
    with _channel(address, gcs) as channel:
        _check_versions(address, channel)
        _check_node_here(address, channel)
    return Cluster(gcs, data_dir, dashboard=False)


def _reachable(address: str) -> str:
    """The address as Ray has it, of something that listens there."""
    host, _, port = address.rpartition(":")
    if not host or "://" in address or not port.isdigit() or not 0 < int(port) < 65536:
        raise RayUnreachable(f"`{address}` is no address of a Ray cluster.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            pass
        return str(services.canonicalize_bootstrap_address(address))
    except TimeoutError as error:
        raise RayUnreachable(
            f"Nothing answers at {address} within {CONNECT_SECONDS:g} s.",
            hint="Look whether the machine is up, and whether a firewall stands between.",
        ) from error
    except PermissionError as error:
        raise RayUnreachable(
            f"This process may not connect to {address}: {error.strerror}.",
            hint="A firewall of this machine, or a policy of its network, forbids it; let the nodes reach each other.",
        ) from error
    except OSError as error:
        raise RayUnreachable(f"There is no Ray at {address}: {error.strerror or error}.") from error


def _channel(address: str, gcs: str) -> Any:
    try:
        return init_grpc_channel(gcs)
    except (AuthenticationError, RuntimeError) as error:
        raise RayTokenRefused(f"There is no token for the Ray cluster at {address}.") from error


def _check_versions(address: str, channel: Any) -> None:
    request = MESSAGES.InternalKVGetRequest(key=CLUSTER_METADATA_KEY, namespace=ray_constants.KV_NAMESPACE_CLUSTER)
    answer = _asked(address, SERVICES.InternalKVGcsServiceStub(channel).InternalKVGet, request)
    if not answer.value:
        raise RayUnreachable(f"The Ray head at {address} is starting.", hint="Try again in some seconds.")
    there: dict[str, str] = orjson.loads(answer.value)
    try:
        check_version_info(there, "here")
    except RuntimeError:
        ours_ray, ours_python = compute_version_info()  # type: ignore[no-untyped-call] # Ray gives it no types
        raise RayVersionMismatch(
            f"The cluster at {address} runs Ray {there['ray_version']} on Python {there['python_version']}, "
            f"this worker Ray {ours_ray} on Python {ours_python}."
        ) from None


def _check_node_here(address: str, channel: Any) -> None:
    request = MESSAGES.GetAllNodeInfoRequest(state_filter=ALIVE)
    answer = _asked(address, SERVICES.NodeInfoGcsServiceStub(channel).GetAllNodeInfo, request)
    alive = {node.node_id.hex() for node in answer.node_info_list}
    if alive.isdisjoint(services.find_node_ids()):  # type: ignore[no-untyped-call] # Ray gives it no types
        raise NoRayNodeHere(
            f"None of the {len(alive)} nodes of the cluster at {address} runs on {socket.gethostname()}."
        )


def _asked(address: str, method: Any, request: Any) -> Any:
    try:
        return method(request, timeout=ANSWER_SECONDS)
    except (AuthenticationError, RuntimeError) as error:
        raise RayTokenRefused(f"There is no token for the Ray cluster at {address}.") from error
    except grpc.RpcError as error:
        code = error.code()
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            raise RayTokenRefused(f"The Ray cluster at {address} refuses the token.") from error
        raise RayUnreachable(f"What listens at {address} does not answer as Ray does ({code.name}).") from error
