"""What the server logs: events with their fields, as JSON where no person watches."""

import io
import logging
import subprocess
import sys
from collections.abc import Iterator

import orjson
import pytest

from budflow.log import configure, get_log


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_a_line_of_json_with_its_fields() -> None:
    stream = io.StringIO()
    configure("info", stream)

    get_log("budflow.part").info("thing.done", count=3)

    [line] = lines(stream)
    assert (line["event"], line["count"], line["level"], line["logger"]) == ("thing.done", 3, "info", "budflow.part")


def test_below_the_level_nothing_is_written() -> None:
    stream = io.StringIO()
    configure("warning", stream)
    log = get_log("budflow.part")

    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")

    assert [line["event"] for line in lines(stream)] == ["c", "d"]


def test_an_exception_comes_with_its_traceback() -> None:
    stream = io.StringIO()
    configure("info", stream)

    try:
        int("too bad")
    except ValueError:
        get_log("budflow.part").exception("thing.broke")

    assert "ValueError: " in str(lines(stream)[0]["exception"])


def test_on_a_terminal_people_read_it() -> None:
    stream = Terminal()
    configure("info", stream)

    get_log("budflow.part").info("thing.done", count=3)

    assert "thing.done" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_libraries_that_log_urls_are_quiet() -> None:
    stream = io.StringIO()
    configure("info", stream)

    logging.getLogger("httpx2").info("GET https://example.com/?token=secret")

    assert stream.getvalue() == ""


def test_configuring_does_not_load_structlog() -> None:
    script = "import sys; from budflow.log import configure; configure('info'); print('structlog' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "False"


def test_a_traceback_on_a_terminal_shows_no_values_of_variables() -> None:
    stream = Terminal()
    configure("info", stream)

    def fail() -> None:
        token = "".join(("can", "ary"))
        raise ValueError(len(token))

    try:
        fail()
    except ValueError:
        get_log("budflow.part").exception("thing.failed")

    assert "ValueError" in stream.getvalue()
    assert "canary" not in stream.getvalue(), "a variable may hold a secret"
