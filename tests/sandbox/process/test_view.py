"""The view has Python, libraries and the worker, and nothing else of the host."""

from pathlib import Path

import budflow
from budflow.sandbox.process.view import ENTRY, PACKAGES, PYTHON, installed_python

SHOWN = ("/usr/local/", "/usr/lib", "/lib", "/usr/share/zoneinfo")
NEVER = ("/etc", "/home", "/root", "/var", "/proc", "/sys", "/run", "/tmp", "/usr/bin", "/usr/sbin", "/usr")


def test_everything_stands_at_paths_that_do_not_tell_the_hosts() -> None:
    view = installed_python()

    targets = [bind.target for bind in view.binds] + [path for _, path in view.links]
    assert all(target.startswith(SHOWN) for target in targets)
    assert not set(targets) & set(NEVER)
    assert PYTHON in targets
    assert ENTRY in targets


def test_all_of_it_is_there() -> None:
    assert all(bind.source.exists() for bind in installed_python().binds)


def test_of_budflow_there_is_the_worker_only() -> None:
    home = Path(budflow.__file__).parent

    shown = {
        str(bind.source.relative_to(home)) for bind in installed_python().binds if bind.source.is_relative_to(home)
    }

    assert shown == {"__init__.py", "sandbox/__init__.py", "sandbox/worker", "sandbox/process/inside.py"}
    packages = {bind.target.split("/")[5] for bind in installed_python().binds if bind.target.startswith(PACKAGES)}
    assert packages == {"budflow", "websockets", "tzdata", "inside.py"}


def test_the_packages_installed_beside_python_are_covered() -> None:
    view = installed_python()
    [library] = [
        bind.source for bind in view.binds if bind.target.endswith(f"/{Path(PYTHON).name}") and bind.source.is_dir()
    ]

    covered = {Path(name).name for name in view.empty}
    assert covered == {name for name in ("site-packages", "dist-packages") if (library / name).is_dir()}
