"""The corpus itself: what it holds, and that its attempts do get through where nothing is in their way."""

import json
import platform
import subprocess
import sys
import textwrap

import pytest

from budflow.sandbox.process.seccomp.machines import MACHINES
from tests.security.attempt import Attempt
from tests.security.canaries import canaries
from tests.security.code_attempts import ATTEMPTS

#: Attempts that harm nobody where there is no sandbox.
HARMLESS = (
    "reads a file of the host by its path",
    "reads a file of the host from above the root",
    "reads the data directory",
    "makes sockets of the internet",
    "reaches a port of the host",
    "reaches an abstract socket of the host",
    "reaches a socket of the host by its path",
    "finds the sockets of others",
    "looks for processes of others",
    "runs a program from memory only",
    "opens a terminal",
)


def test_each_attempt_has_a_name_of_its_own_and_there_are_enough() -> None:
    assert len({attempt.name for attempt in ATTEMPTS}) == len(ATTEMPTS) >= 150


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_its_code_compiles(attempt: Attempt) -> None:
    for source in filter(None, (attempt.source, attempt.second_source)):
        compile("def attempt():\n" + textwrap.indent(source, "    "), attempt.name, "exec")


@pytest.mark.parametrize("name", HARMLESS)
def test_it_gets_through_where_there_is_no_sandbox(name: str) -> None:
    [attempt] = (one for one in ATTEMPTS if one.name == name)
    around = "import json, sys\nparams = json.load(sys.stdin)\ndef attempt():\n{}\nprint(json.dumps(attempt()))\n"
    with canaries() as standing:
        given = {**standing.given(), "calls": dict(MACHINES[platform.machine()].numbers)}
        done = subprocess.run(
            [sys.executable, "-c", around.format(textwrap.indent(attempt.source, "    "))],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=20,
        )

    assert json.loads(done.stdout)["escaped"] is True, (done.stdout, done.stderr)
