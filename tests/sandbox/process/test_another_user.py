"""The process runner as a user other than root, who may make no control groups: a machine within this one for it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bubblewrap import needs_bubblewrap

USER = 61_234
REPOSITORY = Path(__file__).parents[3]
SECONDS_MAX = 60

CODE = """
import asyncio, json, os
from budflow.sandbox.process.runner import ProcessRunner
from tests.security.target import attacked

async def main():
    runner = ProcessRunner()
    told = {"user": os.getuid(), "trouble": await runner.trouble(), "limits": (await runner.describe())["limits"]}
    async with attacked(runner) as target:
        for name, code in (
            ("plain", "return {'a': 1}"),
            ("who", "import os; return {'user': os.getuid(), 'root': sorted(os.listdir('/'))}"),
            ("sysctl", "open('/proc/sys/kernel/core_pattern', 'w')"),
            ("memory", "kept = [bytearray(10**8) for _ in range(100)]"),
            ("forks", "import os\\nwhile True: os.fork()"),
            ("again", "return {'a': 1}"),
        ):
            outcome = await target.run(code, seconds=5)
            told[name] = [*outcome.items] or outcome.code
    print(json.dumps(told))

asyncio.run(main())
"""


def shown(*places: Path) -> Iterator[str]:
    """Arguments that bind these, whose directories above anybody may pass through here."""
    made: set[Path] = set()
    for place in places:
        for above in reversed(place.parents[:-1]):
            if above not in made and not any(above.is_relative_to(other) for other in places):
                made.add(above)
                yield from ("--perms", "0755", "--dir", str(above))
        yield from ("--ro-bind", str(place), str(place))


@pytest.fixture
def as_another_user() -> list[str]:
    """What comes before a command."""
    needs_bubblewrap()
    if os.geteuid() != 0:
        return []  # All of the tests are.
    system = [name for name in ("/bin", "/sbin", "/lib", "/lib64") if Path(name).exists()]
    links = [
        part for name in system if Path(name).is_symlink() for part in ("--symlink", str(Path(name).readlink()), name)
    ]
    places = [Path("/usr"), Path("/etc"), *(Path(name) for name in system if not Path(name).is_symlink())]
    places += {Path(sys.base_prefix), Path(sys.prefix), REPOSITORY / "budflow", REPOSITORY / "tests"} - {Path("/usr")}
    return [
        *("bwrap", "--die-with-parent", "--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc"),
        *("--perms", "1777", "--tmpfs", tempfile.gettempdir(), *links, *shown(*places), "--chdir", str(REPOSITORY)),
        *("--", "setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--"),
    ]


def test_code_runs_with_the_limits_of_its_processes(as_another_user: list[str]) -> None:

    done = subprocess.run(
        [*as_another_user, sys.executable, "-c", CODE], capture_output=True, text=True, timeout=SECONDS_MAX
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["user"] != 0
    assert told["trouble"] is None
    assert told["plain"] == told["again"] == [{"a": 1}]
    assert told["who"] == [{"user": 65_534, "root": ["dev", "lib", "lib64", "proc", "run", "tmp", "usr"]}]
    assert told["sysctl"] == "code.failed"
    assert told["memory"] == "code.out_of_memory"
    assert told["forks"] in {"code.too_many_processes", "code.timed_out"}
    if as_another_user:
        assert told["limits"]["memory"] == "each process by itself"
