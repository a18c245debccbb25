"""How code fails: with the author's line, the item, and a code for what it was."""

from typing import Any

import pytest

from tests.sandbox.worker.broker import Broker


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("x = 1\nreturn {", 2, "SyntaxError: '{' was never closed at column 8"),
        ("if 1:\nx", 2, "IndentationError: expected an indented block after 'if' statement on line 1"),
        ("def f():\n  nonlocal zz", 2, "SyntaxError: no binding for nonlocal 'zz' found"),
        ("x = await y", 1, "SyntaxError: 'await' outside async function"),
        ("from json import *", 1, "SyntaxError: import * only allowed at module level"),
        ("a = '\x00'", None, "SyntaxError: source code string cannot contain null bytes"),
        pytest.param("(" * 300 + ")" * 300, 1, "SyntaxError", id="parentheses"),
        pytest.param("-" * 100_000 + "1", None, "", id="deep"),
    ],
)
def test_code_that_does_not_compile(warm: Broker, code: str, line: int | None, message: str) -> None:
    outcome = warm.run(code)

    assert outcome.error is not None
    assert outcome.code == "code.invalid"
    assert message in outcome.message
    assert line is None or outcome.error["line"] == line


def test_an_exception_names_the_line_and_has_a_traceback_of_the_authors_frames(warm: Broker) -> None:
    code = "import json\ndef total(text):\n  return json.loads(text)\n\n"
    outcome = warm.run(code + "class A:\n  def go(self): return total('{')\nA().go()")

    assert outcome.error == {
        "code": "code.failed",
        "message": "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "line": 3,
        "item": None,
        "traceback": ["line 7", "line 6, in go", "line 3, in total"],
    }


def test_in_mode_each_the_items_that_fail_do_not_stop_the_others(warm: Broker) -> None:
    code = "if item['n'] % 2:\n  raise ValueError('odd')\nreturn item"
    outcome = warm.run(code, [{"n": n} for n in range(5)], "each")

    assert outcome.sources == [0, 2, 4]
    assert [(each["item"], each["line"], each["message"]) for each in outcome.failed] == [
        (1, 2, "ValueError: odd"),
        (3, 2, "ValueError: odd"),
    ]


def test_when_thousands_of_items_fail_all_are_told_of(warm: Broker) -> None:
    outcome = warm.run("raise ValueError('x' * 500)", [{}] * 2000, "each")

    assert [each["item"] for each in outcome.failed] == list(range(2000))
    assert outcome.failed[0]["traceback"] == ["line 1"]
    assert outcome.failed[-1]["traceback"] == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys\nsys.exit(3)", "The code called exit(3); end it with return"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): return f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("class E(Exception):\n  def __str__(self): 1 / 0\nraise E", "E: (its text cannot be told)"),
        ("raise ValueError('\\ud800')", "ValueError: ?"),
        ("yield {'a': 1}\nraise ValueError('late')", "ValueError: late"),
    ],
)
def test_what_else_may_be_raised(warm: Broker, code: str, message: str) -> None:
    outcome = warm.run(code)

    assert (outcome.code, outcome.message) == ("code.failed", message)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return 3", "The code gave an int; return a dict, a list of dicts, or None for no item"),
        ("return 'text'", "The code gave a str; return a dict, a list of dicts, or None for no item"),
        ("return [{}, 3]", "Item 1 of what the code gave is an int, and must be a dict"),
        ("return {'a': {'b': [0, float('nan')]}}", "Item 0 of what the code gave: a.b[1]: nan is not JSON"),
        ("return [{}, {'a': b'x'}]", "Item 1 of what the code gave: a: a bytes is not JSON; decode it"),
        ("return {'a': 'x' * 4_200_000}", "the item has 4200008 bytes as JSON, more than 4128768"),
        ("for _ in range(30): yield {'a': 'x' * 3_000_000}", "has more than 67108864 bytes"),
    ],
)
def test_what_is_no_item_is_said_where(warm: Broker, code: str, message: str) -> None:
    outcome = warm.run(code)

    assert outcome.code == "code.result_malformed"
    assert message in outcome.message


def test_in_mode_each_what_is_no_item_fails_its_item(warm: Broker) -> None:
    outcome = warm.run("return item['x']", [{"x": 1}, {"x": {}}], "each")

    assert [(each["code"], each["item"]) for each in outcome.failed] == [("code.result_malformed", 0)]
    assert outcome.sources == [1]


@pytest.mark.parametrize("mode", ["all", "each"])
@pytest.mark.parametrize("code", ["x = bytearray(10**9)", "x = []\nwhile True: x.append(bytearray(10**6))"])
def test_too_much_memory(warm: Broker, code: str, mode: str) -> None:
    assert warm.run(code, mode=mode).code == "code.out_of_memory"


def test_the_memory_that_a_task_may_use_it_can_use(warm: Broker) -> None:
    assert warm.run("x = bytearray(60 * 1024 * 1024)\nreturn {'n': len(x)}", memory_mb=64).error is None


def test_a_process_that_dies_is_told_by_its_signal_or_status(warm: Broker) -> None:
    told: dict[str, Any] = {
        "import ctypes\nctypes.string_at(0)": "The process of the code died of SIGSEGV",
        "import os\nos.abort()": "The process of the code died of SIGABRT",
        "import os\nos.kill(os.getpid(), 15)": "The process of the code died of SIGTERM",
        "import os\nos._exit(3)": "The process of the code ended with status 3 and gave no result",
    }
    for code, message in told.items():
        outcome = warm.run(code)
        assert (outcome.code, outcome.message) == ("code.failed", message)


@pytest.mark.parametrize(
    "start",
    [
        "if os.fork() == 0:\n    time.sleep(9)\n    os._exit(0)",
        "subprocess.Popen(['/bin/sleep', '9'])",
        "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    ],
)
def test_too_many_processes_or_threads(warm: Broker, start: str) -> None:
    few = "if os.getuid() == 0: os.setuid(64_999)\nresource.setrlimit(resource.RLIMIT_NPROC, (3, 3))"
    code = f"import os, resource, subprocess, threading, time\n{few}\nwhile True:\n  {start}"

    assert warm.run(code).code == "code.too_many_processes"
    assert warm.works()


def test_what_would_block_is_no_want_of_processes(warm: Broker) -> None:
    code = "import socket\na, b = socket.socketpair()\na.setblocking(False)\na.recv(1)"

    assert warm.run(code).code == "code.failed"
