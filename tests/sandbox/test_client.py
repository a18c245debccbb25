"""Code from a node to a real worker and back: client, daemon, broker, worker."""

import pytest

from budflow.model.sandbox import CodeFailed
from tests.sandbox.conftest import OpenSandboxd
from tests.sandbox.subprocess_runner import SubprocessRunner
from tests.sandbox.tasks import Lines, parts, task, values


async def test_code_gets_items_and_gives_items(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())
    code = "return [{'n': item['n'] * 2} for item in items]"

    assert await values(sandboxd.client.of("p1"), task(code, [{"n": 1}, {"n": 2}])) == [{"n": 2}, {"n": 4}]


async def test_items_that_fit_no_part_are_given_when_the_code_touches_them(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())
    items = [{"n": n, "text": "x" * 1_000} for n in range(2_000)]

    given = await values(sandboxd.client.of("p1"), task("return [{'sum': sum(i['n'] for i in items)}]", items))

    assert given == [{"sum": 1_999_000}]


async def test_what_the_code_prints_is_logged_by_its_level_and_item(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())
    log = Lines()

    await values(sandboxd.client.of("p1"), task("print('hello', item['n'])\nreturn item", mode="each"), log)

    assert ("info", "hello 1", {}, 0) in log.lines


async def test_a_failed_item_is_told_with_its_line(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())

    part, _end = await parts(sandboxd.client.of("p1"), task("return item['gone']", mode="each"))

    assert isinstance(part.failed[0], CodeFailed)
    assert "line 1" in part.failed[0].message
    assert "item 0" in part.failed[0].message


async def test_code_that_fails_names_its_line(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())

    with pytest.raises(CodeFailed, match=r"line 2"):
        await values(sandboxd.client.of("p1"), task("x = 1\nreturn x / 0"))
