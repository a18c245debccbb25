"""The files of the base image: a copy of the installed Python, what it needs, and the worker; no shell, no pip."""

import importlib.util
import os
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from budflow.sandbox.docker.shared_libraries import libraries_of
from budflow.sandbox.runners import SOCKETS_DIRECTORY

#: The user and the group of everything that runs in a container; no machine has another use for them.
NOBODY = 65_534
#: Where the packages of requirements stand: last on Python's path, so that none stands in for a module of the worker.
PACKAGES_DIRECTORY = "/opt/packages"
CERTIFICATES_FILE = "/etc/ssl/certs/ca-certificates.crt"
PREFIX = "usr/local"
COMPILE_SECONDS_MAX = 300.0

_VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
LIBRARY = f"{PREFIX}/lib/{_VERSION}"
SITE_PACKAGES = f"{LIBRARY}/site-packages"
PROGRAM = f"{PREFIX}/bin/{_VERSION}"
#: Where every image has its Python, of whatever version.
PYTHON = f"/{PREFIX}/bin/python3"

#: Directories and files of the standard library that no worker uses: tests, windows, other programs' sources.
_LEFT_OUT = {
    *("__pycache__", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests", "tkinter"),
    *("turtle.py", "turtledemo", "antigravity.py", "this.py", "venv"),
}
_LEFT_OUT_STARTS = ("config-", "_test", "_tkinter", "_curses", "_xx", "xxlimited", "_ctypes_test", "readline", "nis.")
#: Of other packages the worker has these, and of BudFlow what stands below.
PACKAGES = ("websockets", "tzdata")
OF_BUDFLOW = ("__init__.py", "sandbox/__init__.py", "sandbox/worker")
#: Packages are found by a line with a path; lines with code, which packages bring along, are not read there.
PATH_FILE = "packages.pth"
#: Python imports these by itself when it starts, from wherever they are: not from packages, into the worker.
RUN_AT_THE_START = ("sitecustomize.py", "usercustomize.py")

_FILES = {
    "etc/passwd": f"nobody:x:{NOBODY}:{NOBODY}:nobody:/tmp:/nonexistent\n",
    "etc/group": f"nogroup:x:{NOBODY}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    f"{SITE_PACKAGES}/{PATH_FILE}": f"{PACKAGES_DIRECTORY}\n",
    **{f"{LIBRARY}/{name}": '"""Empty, and found before those of packages."""\n' for name in RUN_AT_THE_START},
}
_DIRECTORIES = ("dev", "proc", "sys", "tmp", SOCKETS_DIRECTORY.lstrip("/"), PACKAGES_DIRECTORY.lstrip("/"))


def stage(root: Path) -> None:
    """Lay out the files below an empty directory. Raises OSError, ValueError, subprocess.SubprocessError."""
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True)
    _copy_python(root)
    for name, source in worker_files():
        _copy(source, root / SITE_PACKAGES / name)
    for name, text in _FILES.items():
        _write(root / name, text.encode())
    certificates = ssl.get_default_verify_paths().cafile
    for candidate in (certificates, CERTIFICATES_FILE, "/etc/pki/tls/certs/ca-bundle.crt"):
        if candidate and Path(candidate).is_file():
            _copy(Path(candidate), root / CERTIFICATES_FILE.lstrip("/"))
            break
    _compile(root)


def worker_files() -> Iterator[tuple[str, Path]]:
    """The worker's modules and those of the packages that it uses: the name below site-packages, and the file here."""
    budflow = _home_of("budflow")
    for name in OF_BUDFLOW:
        for source in _walk(budflow / name):
            yield f"budflow/{source.relative_to(budflow)}", source
    for package in PACKAGES:
        home = _home_of(package)
        for source in _walk(home):
            yield f"{package}/{source.relative_to(home)}", source


def _copy_python(root: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    for source in _walk(library):
        _copy(source, root / LIBRARY / source.relative_to(library))
    _copy(program, root / PROGRAM)
    for name in ("python3", "python"):
        (root / PROGRAM).with_name(name).symlink_to(Path(PROGRAM).name)
    found = libraries_of(program, sorted((root / LIBRARY / "lib-dynload").glob("*.so")))
    for name, source in found.files.items():
        _copy(source, root / str(found.directory).lstrip("/") / name)
    _copy(found.loader, root / str(found.loader).lstrip("/"))


def _compile(root: Path) -> None:
    """Bytecode that is never checked against its source, and so is the same whenever it is made."""
    subprocess.run(  # noqa: S603 this Python's own compiler, on files that were just copied
        [
            *(sys.executable, "-S", "-s", "-m", "compileall", "-q", "-f", "-j", str(min(os.cpu_count() or 1, 8))),
            *("--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/", str(root / LIBRARY)),
        ],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        check=True,
        timeout=COMPILE_SECONDS_MAX,
    )


def _home_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"the package {package} is not installed as files")
    return Path(spec.origin).parent


def _walk(place: Path) -> Iterator[Path]:
    """The files at a place, sorted, without those that are left out."""
    if place.is_file():
        yield place
        return
    for entry in sorted(place.iterdir()):
        if entry.name in _LEFT_OUT or entry.name.startswith(_LEFT_OUT_STARTS):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(0o644)
