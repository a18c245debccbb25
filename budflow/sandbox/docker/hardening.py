"""What a container may be: the one place that turns a kind of worker into what Docker is asked for. No free options."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budflow.sandbox.docker.python_tree import NOBODY
from budflow.sandbox.docker.seccomp import profile
from budflow.sandbox.runners import SOCKETS_DIRECTORY, Limits

#: Whose container it is: that of one sandboxd, which removes what it left behind when it starts again.
OWNER_LABEL = "budflow.sandbox"
#: What a container is for: `worker` or `build`.
ROLE_LABEL = "budflow.sandbox.role"
HOSTNAME = "sandbox"

#: What tells of the machine: Docker's own list, of which newer versions have more, and what no code needs.
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/cmdline", "/proc/config.gz", "/proc/diskstats", "/proc/interrupts"),
    *("/proc/kallsyms", "/proc/kcore", "/proc/key-users", "/proc/keys", "/proc/latency_stats", "/proc/modules"),
    *("/proc/partitions", "/proc/sched_debug", "/proc/scsi", "/proc/softirqs", "/proc/swaps", "/proc/timer_list"),
    *("/proc/timer_stats", "/sys/block", "/sys/bus", "/sys/class", "/sys/dev", "/sys/devices/virtual"),
    *("/sys/firmware", "/sys/hypervisor", "/sys/kernel", "/sys/module", "/sys/power"),
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

#: Runtimes whose containers have the machine's kernel. Others, as gVisor's, bring one of their own, whose threads and
#: memory count as the container's; without room for them it would die of the first few processes.
SHARED_KERNEL = ("runc", "crun")
OWN_KERNEL_THREADS = 512
OWN_KERNEL_MB = 128

_MEBIBYTE = 1024 * 1024
_TMP_FILES_MAX = 32_768


@dataclass(frozen=True, slots=True)
class Container:
    """One container: an image by its digest, what it runs, and what it may use."""

    owner: str
    role: str
    image: str
    memory_mb: int
    sockets: Path
    limits: Limits
    internet: bool = False
    runtime: str = "runc"
    command: Sequence[str] | None = None  # None: the image's own.
    environment: Mapping[str, str] = field(default_factory=dict)
    readable: Mapping[Path, str] = field(default_factory=dict)  # Files of the host, and where they are inside.
    writable_root: bool = False
    file_bytes_max: int | None = None  # None: as many as /tmp holds.


def container_config(container: Container) -> dict[str, Any]:
    """The request to create it (Docker Engine API, ContainerCreate)."""
    config: dict[str, Any] = {
        "Image": container.image,
        "User": f"{NOBODY}:{NOBODY}",
        "Hostname": HOSTNAME,
        "Env": [f"{name}={value}" for name, value in sorted(container.environment.items())],
        "Labels": {OWNER_LABEL: container.owner, ROLE_LABEL: container.role},
        "AttachStdin": False,
        "OpenStdin": False,
        "Tty": False,
        "NetworkDisabled": False,  # With True the engine would leave out loopback too, which the forwarder needs.
        "HostConfig": _host_config(container),
    }
    if container.command is not None:
        config |= {"Entrypoint": list(container.command), "Cmd": []}
    return config


def _host_config(container: Container) -> dict[str, Any]:
    limits = container.limits
    own_kernel = container.runtime not in SHARED_KERNEL
    memory = (container.memory_mb + (OWN_KERNEL_MB if own_kernel else 0)) * _MEBIBYTE
    mounts = {container.sockets: SOCKETS_DIRECTORY, **container.readable}
    file_bytes = container.file_bytes_max or limits.tmp_bytes
    tmp = f"rw,noexec,nosuid,nodev,mode=1777,size={limits.tmp_bytes},nr_inodes={_TMP_FILES_MAX}"
    return {
        "Runtime": container.runtime,
        "NetworkMode": "none",
        "Dns": ["127.0.0.1"],  # Else it would have those of the host's network to read.
        "DnsSearch": ["."],
        "IpcMode": "private",
        "ReadonlyRootfs": not container.writable_root,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": [],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={json.dumps(profile(internet=container.internet))}"],
        "MaskedPaths": list(MASKED),
        "ReadonlyPaths": list(READ_ONLY),
        "PidsLimit": limits.processes + (OWN_KERNEL_THREADS if own_kernel else 0),
        "Memory": memory,
        "MemorySwap": memory,  # Both together: none of it is swap.
        "NanoCpus": round(limits.cpus * 1e9),
        "OomScoreAdj": 500,  # A machine that runs out of memory ends sandboxes first.
        "Tmpfs": {"/tmp": tmp},  # noqa: S108 the container's own, a file system of its own
        "ShmSize": limits.shm_bytes,
        "Ulimits": [
            _ulimit("nofile", limits.open_files),
            _ulimit("core", 0),
            _ulimit("fsize", file_bytes),
            _ulimit("msgqueue", 0),
            _ulimit("memlock", 0),
        ],
        "Mounts": [
            {
                "Type": "bind",
                "Source": str(source),
                "Target": target,
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rprivate"},
            }
            for source, target in mounts.items()
        ],
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,  # How it ended is asked first.
        "Init": False,
    }


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}
