"""Every error a caller can meet has a code that never changes, an HTTP status and a hint."""

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator

import pytest

import budflow
import mcp_server
import ray_jobs
from budflow.errors import BudflowError
from budflow.model.problem import ProblemsFound

CODE = re.compile(r"^[a-z_]+(\.[a-z_]+)+$")


def modules() -> Iterator[str]:
    for package in (budflow, mcp_server, ray_jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Alembic's scripts run only under Alembic.
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                yield module.name


def subclasses(kind: type[BudflowError]) -> Iterator[type[BudflowError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


@pytest.fixture(scope="module")
def errors() -> list[type[BudflowError]]:
    for name in modules():
        importlib.import_module(name)
    ours = ("budflow.", "mcp_server.", "ray_jobs.")
    found = [error for error in subclasses(BudflowError) if error.__module__.startswith(ours)]
    found.remove(ProblemsFound)  # Only errors below it are raised.
    return found


def test_codes_have_a_subject_and_a_reason(errors: list[type[BudflowError]]) -> None:
    assert [f"{error.__qualname__}: {error.code}" for error in errors if not CODE.match(error.code)] == []


def test_no_two_errors_share_a_code(errors: list[type[BudflowError]]) -> None:
    counted = Counter(error.code for error in errors)

    assert [code for code, count in counted.items() if count > 1] == []


def test_statuses_are_those_of_http_errors(errors: list[type[BudflowError]]) -> None:
    assert [error.__qualname__ for error in errors if not 400 <= error.http_status <= 599] == []


def test_every_error_says_what_to_do_next(errors: list[type[BudflowError]]) -> None:
    assert [error.__qualname__ for error in errors if not error.hint] == []


def test_every_error_has_its_message_as_docstring(errors: list[type[BudflowError]]) -> None:
    assert [error.__qualname__ for error in errors if not (error.__dict__.get("__doc__") or "").strip()] == []
