"""The command that starts a worker: into its control group, down to a user of its own, and into its namespaces.

As root there are two bubblewraps. The first only puts what the worker may see where a user without any rights can reach
it, then the user is changed, and the second one makes the sandbox: started as root it would leave kernel settings
writable. As any other user there is only the second. What both are told goes through pipes, since every process of the
machine can read a command line, and there is a ticket in it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from budflow.sandbox.process.control_groups import PROCESSES_AROUND, ControlGroup
from budflow.sandbox.process.view import ENTRY, PYTHON, Bind, View, arguments
from budflow.sandbox.runners import Limits, WorkerKind

NOBODY = 65_534
HOSTNAME = "sandbox"
#: As which the sockets are staged, and the view's parts by their place in it.
_STAGE = "/stage"
_ENTER = 'for group in $1; do echo 0 > "$group" || exit 71; done; shift; exec "$@"'
#: The kernel lets a dying parent signal its child only when it may: bubblewrap itself may not any more, this one may.
_WAIT = '"$@"; exit $?'
_STAGE_RIGHTS = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL")
_MEBIBYTE = 1024 * 1024
#: What the interpreter, the worker and its libraries take of a process's address space before any code runs.
_ADDRESSES_MB_AROUND = 512
_SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib64", "/usr")


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a worker: what it is to see, to be told and to be held to."""

    view: View
    sockets: Path
    kind: WorkerKind
    limits: Limits
    environment: Mapping[str, str]
    group: ControlGroup | None
    user: int | None  # As which it is to run; None: as who runs this.

    @property
    def binds(self) -> tuple[Bind, ...]:
        """The view's, and, as a container has it, the file that counts how often the kernel killed in the group."""
        if self.group is None or self.group.memory is None:
            return self.view.binds
        name = "memory.oom_control" if self.group.version == 1 else "memory.events"
        place = "/sys/fs/cgroup/memory" if self.group.version == 1 else "/sys/fs/cgroup"
        return (*self.view.binds, Bind(self.group.memory / name, f"{place}/{name}"))


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The open files that the command finds: what the bubblewraps are told, the filter, where the inner one tells of
    the process that it made, and what that process waits for.
    """

    inner: int
    stage: int
    filter: int
    info: int
    go: int


def command(launch: Launch, descriptors: Descriptors, program: Sequence[str]) -> list[str]:
    """The whole command around a program of the sandbox's."""
    sandbox = ["bwrap", "--args", str(descriptors.inner), "--seccomp", str(descriptors.filter)]
    sandbox += ["--info-fd", str(descriptors.info), "--block-fd", str(descriptors.go), "--", *program]
    if launch.user is not None:
        user = str(launch.user)
        drop = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        drop += ["--inh-caps=-all", "--bounding-set=-all", "--pdeathsig", "KILL"]
        sandbox = ["bwrap", "--args", str(descriptors.stage), "--", "/bin/sh", "-c", _WAIT, "sh", *drop, "--", *sandbox]
    if launch.group is not None:
        sandbox = ["/bin/sh", "-c", _ENTER, "sh", " ".join(map(str, launch.group.entries)), *sandbox]
    return sandbox


def worker_program(launch: Launch) -> list[str]:
    """The worker, as it is started inside."""
    return [PYTHON, "-I", ENTRY, json.dumps(process_limits(launch.kind, launch.limits, launch.group))]


def inner_arguments(launch: Launch) -> bytes:
    """What the bubblewrap that makes the sandbox is told."""
    view, sockets = replace(launch.view, binds=launch.binds), launch.sockets.absolute()
    if launch.user is not None:
        view = replace(view, binds=tuple(Bind(Path(_staged(i)), bind.target) for i, bind in enumerate(view.binds)))
        sockets = Path(_STAGE, "sockets")
    return _joined(
        (
            *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
            *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"),
            *("--uid", str(NOBODY), "--gid", str(NOBODY), "--hostname", HOSTNAME),
            *arguments(view, sockets, launch.limits),
            *("--remount-ro", "/dev", "--remount-ro", "/"),
            *("--chdir", "/tmp", "--clearenv"),  # noqa: S108 the sandbox's own
            *_variables({**_own_environment(view), **launch.environment}),
        )
    )


def stage_arguments(launch: Launch) -> bytes:
    """What the bubblewrap that runs as root is told: a root directory with the programs that follow, and the view."""
    told = ["--die-with-parent", "--dir", "/tmp", "--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"]  # noqa: S108 its own
    told += ("--perms", "0755", "--dir", _STAGE, "--cap-drop", "ALL")
    for right in _STAGE_RIGHTS:
        told += ("--cap-add", right)
    for name in _SYSTEM_DIRECTORIES:
        directory = Path(name)
        if directory.is_symlink():
            told += ("--symlink", str(directory.readlink()), name)
        elif directory.is_dir():
            told += ("--ro-bind", name, name)
    for index, bind in enumerate(launch.binds):
        told += ("--ro-bind", str(bind.source), _staged(index))
    return _joined(
        (*told, "--ro-bind", str(launch.sockets.absolute()), f"{_STAGE}/sockets", "--clearenv", *_variables(_PROGRAMS))
    )


def process_limits(kind: WorkerKind, limits: Limits, group: ControlGroup | None) -> dict[str, int]:
    """The limits of the process itself (getrlimit(2)), by name; those of memory where no control group holds it."""
    held = {
        "CORE": 0,
        "NOFILE": limits.open_files,
        "NPROC": limits.processes + PROCESSES_AROUND,
        "FSIZE": limits.tmp_bytes,
        "MEMLOCK": 64 * 1024,
        "RTPRIO": 0,
        "MSGQUEUE": 0,
    }
    if group is None or group.memory is None:
        held["AS"] = (kind.memory_mb + _ADDRESSES_MB_AROUND) * _MEBIBYTE
    return held


_PROGRAMS = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


def _own_environment(view: View) -> dict[str, str]:
    own = {"PATH": "/usr/local/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: S108 its own
    return own if view.library_path is None else {**own, "LD_LIBRARY_PATH": view.library_path}


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(environment.items()):
        yield from ("--setenv", name, value)


def _staged(index: int) -> str:
    return f"{_STAGE}/{index}"


def _joined(told: Sequence[str]) -> bytes:
    return b"\0".join(os.fsencode(part) for part in told) + b"\0"
