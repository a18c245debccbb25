"""files.write_lines"""

from typing import Any

import pytest

from budflow.nodes.files import write_lines as module
from budflow.nodes.files.write_lines import LineUnwritable
from tests.nodes.fake_files import FakeFiles
from tests.nodes.harness import Ran, run, spec_of

TYPE = "files.write_lines"


def write(given: list[dict[str, Any]], before: bytes | None = None, **params: Any) -> tuple[Ran, bytes | None]:
    files = FakeFiles({} if before is None else {"f": before})
    ran = run(TYPE, {"path": "f", **params}, given, files=files)
    return ran, files.contents.get("f")


def test_each_item_is_a_line() -> None:
    ran, content = write([{"a": 1, "b": "\u00fc\n"}, {}])

    assert content == '{"a":1,"b":"\u00fc\\n"}\n{}\n'.encode()
    assert ran.ports == {"main": [{"path": "f", "lines": 2, "bytes": len(content)}]}
    assert ran.lineage == {"main": [-1]}


def test_overwriting_leaves_these_lines_alone_and_appending_adds_them() -> None:
    assert write([{"a": 1}], b"old\n")[1] == b'{"a":1}\n'
    assert write([{"a": 1}], b"old\n", mode="append")[1] == b'old\n{"a":1}\n'


def test_no_items_make_an_empty_file() -> None:
    ran, content = write([], b"old\n")

    assert content == b""
    assert ran.ports["main"][0]["lines"] == 0
    assert spec_of(TYPE).run_on_empty


def test_text_is_written_from_a_field() -> None:
    given = [{"t": {"x": "one"}}, {"t": {}}, {"t": {"x": [1]}}]

    assert write(given, format="text", field="t.x")[1] == b"one\n\n[1]\n"
    assert write([{"line": "gr\u00fcn"}], format="text", encoding="latin-1")[1] == "gr\u00fcn\n".encode("latin-1")


@pytest.mark.parametrize(
    ("value", "params"),
    [
        ({"line": "two\nlines"}, {"format": "text"}),
        ({"line": "\u4f60"}, {"format": "text", "encoding": "latin-1"}),
        ({"n": 2**70}, {}),
        ({"x": "\u4f60"}, {"encoding": "windows-1252"}),
    ],
)
def test_an_item_that_is_no_line_fails_and_is_left_out(value: dict[str, Any], params: dict[str, Any]) -> None:
    ran, content = write([value, {"line": "ok"}], **params)

    assert isinstance(ran.failed[0], LineUnwritable)
    assert content is not None
    assert content.count(b"\n") == 1
    assert ran.ports["main"][0]["lines"] == 1


def test_much_is_written_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_BYTES", 10)

    assert write([{"n": n} for n in range(20)])[1] == b"".join(b'{"n":%d}\n' % n for n in range(20))


@pytest.mark.parametrize(("mode", "effect"), [("overwrite", "idempotent"), ("append", "once")])
def test_its_effect_follows_from_the_mode(mode: str, effect: str) -> None:
    spec = spec_of(TYPE)

    assert spec.effect_of(spec.params.model_validate({"path": "f", "mode": mode})) == effect
