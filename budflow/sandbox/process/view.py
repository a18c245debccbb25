"""What a worker sees of the file system: Python, the worker and shared libraries, read-only, at paths of its own.

Only the kernel's list of mounts, `/proc/self/mountinfo`, still tells where on the host they come from.
"""

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from budflow.sandbox.runners import SOCKETS_DIRECTORY, Limits

PREFIX = "/usr/local"
PACKAGES = "/usr/local/lib/budflow"
ENTRY = f"{PACKAGES}/inside.py"
_VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON = f"{PREFIX}/bin/{_VERSION}"
_STANDARD_LIBRARY = f"{PREFIX}/{sys.platlibdir}/{_VERSION}"
_DEVICES = ("null", "zero", "full", "random", "urandom")
#: Beside Python's own: the loader's directories, as links (which stay links) or as they are.
_LIBRARY_DIRECTORIES = ("/lib", "/lib64", "/usr/lib64")
_TIME_ZONES = "/usr/share/zoneinfo"
#: Of BudFlow a worker has these and nothing else.
_OF_BUDFLOW = ("__init__.py", "sandbox/__init__.py", "sandbox/worker")
_OTHER_PACKAGES = ("websockets", "tzdata")
_DEVICES_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the host, and the path where the worker sees it, read-only."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class View:
    """All that there is in every worker's root directory."""

    binds: tuple[Bind, ...]
    links: tuple[tuple[str, str], ...]  # What it leads to, and where it is.
    empty: tuple[str, ...]  # Directories over what a bind has there.
    library_path: str | None  # Where the loader finds Python's own library, when it has one.


def installed_python() -> View:
    """The Python that runs this. Raises OSError, ValueError."""
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve(strict=True)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})).resolve(strict=True)
    binds = [Bind(program, PYTHON), Bind(library, _STANDARD_LIBRARY)]
    links: list[tuple[str, str]] = []
    for name in _LIBRARY_DIRECTORIES:
        directory = Path(name)
        if directory.is_symlink():
            links.append((str(directory.readlink()), name))
        elif directory.is_dir():
            binds.append(Bind(directory, name))
    # Where there is a directory for the kind of machine, all that Python needs is in it, and no other program.
    multiarch = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "-")
    own = [(Path(file).resolve(), Path(file).name) for file in program.parent.parent.glob("lib/libpython*.so*")]
    place = f"{PREFIX}/lib"
    if multiarch.is_dir():
        binds.append(Bind(multiarch, str(multiarch)))
        binds += (Bind(loader.resolve(), str(loader)) for loader in Path("/usr/lib").glob("ld-*.so*"))
        place = "/usr/lib"  # The loader looks there by itself, and so also for what the code starts.
    elif not Path("/usr/lib").is_symlink():
        binds.append(Bind(Path("/usr/lib"), "/usr/lib"))
    binds += (Bind(file, f"{place}/{name}") for file, name in own)
    if Path(_TIME_ZONES).is_dir():
        binds.append(Bind(Path(_TIME_ZONES).resolve(), _TIME_ZONES))
    binds += _packages()
    site = tuple(
        f"{_STANDARD_LIBRARY}/{name}" for name in ("site-packages", "dist-packages") if (library / name).is_dir()
    )
    return View(tuple(binds), tuple(links), site, place if own else None)


def arguments(view: View, sockets: Path, limits: Limits) -> Iterator[str]:
    """What bubblewrap is told of the root directory; whatever is not named here is not there, or read-only."""
    for bind in view.binds:
        yield from ("--ro-bind", str(bind.source), bind.target)
    for leads_to, path in view.links:
        yield from ("--symlink", leads_to, path)
    for directory in view.empty:
        yield from ("--size", str(os.sysconf("SC_PAGE_SIZE")), "--tmpfs", directory, "--remount-ro", directory)
    yield from ("--proc", "/proc", "--size", str(_DEVICES_BYTES), "--tmpfs", "/dev")
    for name in _DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    yield from ("--symlink", "/proc/self/fd", "/dev/fd")
    yield from ("--perms", "1777", "--size", str(limits.shm_bytes), "--tmpfs", "/dev/shm")  # noqa: S108 the sandbox's own
    yield from ("--perms", "1777", "--size", str(limits.tmp_bytes), "--tmpfs", "/tmp")  # noqa: S108 the sandbox's own
    yield from ("--ro-bind", str(sockets), SOCKETS_DIRECTORY)


def _packages() -> Iterator[Bind]:
    budflow = _home_of("budflow")
    for name in _OF_BUDFLOW:
        yield Bind(budflow / name, f"{PACKAGES}/budflow/{name}")
    for package in _OTHER_PACKAGES:
        yield Bind(_home_of(package), f"{PACKAGES}/{package}")
    yield Bind(Path(__file__).with_name("inside.py"), ENTRY)


def _home_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"the package {package} is not installed as files")
    return Path(spec.origin).resolve().parent
