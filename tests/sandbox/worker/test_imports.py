"""The worker runs where there is Python, websockets, and of BudFlow nothing but itself."""

import ast
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import websockets

import budflow
from budflow.sandbox import messages, runners, worker
from budflow.sandbox.worker import __main__ as program, limits
from tests.sandbox.worker.broker import started

PACKAGE = Path(worker.__file__).parent
STARTED = "import sys; sys.path.insert(0, {!r}); from budflow.sandbox.worker.__main__ import main; sys.exit(main())"


def test_it_runs_where_nothing_else_is_installed(tmp_path: Path) -> None:
    home = Path(budflow.__file__).parent
    inside = tmp_path / "inside"
    for name in ("__init__.py", "sandbox/__init__.py"):
        (inside / "budflow" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(home / name, inside / "budflow" / name)
    (inside / "budflow/sandbox/worker").symlink_to(PACKAGE)
    (inside / "websockets").symlink_to(Path(websockets.__file__).parent)
    command = (sys.executable, "-I", "-S", "-c", STARTED.format(str(inside)))

    with started(tmp_path, command=command) as broker:
        code = "try: import pydantic\nexcept ImportError: return {'pydantic': False}"
        assert broker.run(code).items == [{"pydantic": False}]


def test_it_names_no_other_module() -> None:
    for path in PACKAGE.glob("*.py"):
        for name in imported_by(path):
            allowed = name.partition(".")[0] in {*sys.stdlib_module_names, "websockets"}
            assert allowed or name == "budflow" or name.startswith("budflow.sandbox.worker"), f"{path.name}: {name}"


def test_its_limits_and_names_are_those_of_the_protocol() -> None:
    assert limits.PROTOCOL_VERSION == messages.PROTOCOL_VERSION
    assert limits.FRAME_BYTES_MAX == messages.FRAME_BYTES_MAX
    assert limits.PART_BYTES == messages.PART_BYTES
    assert program.SOCKETS_DIRECTORY == runners.SOCKETS_DIRECTORY
    assert program.TICKET_VARIABLE == runners.TICKET_VARIABLE
    assert (program.BROKER_SOCKET, program.EGRESS_SOCKET) == (runners.BROKER_SOCKET, runners.EGRESS_SOCKET)
    assert runners.Limits().open_files == limits.OPEN_FILES_MAX


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module or ""
