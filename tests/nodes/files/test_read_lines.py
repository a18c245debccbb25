"""files.read_lines"""

from typing import Any

import pytest

from budflow.egress.files import FileMissing
from budflow.nodes.files import read_lines as module
from budflow.nodes.files.read_lines import LineFaulty, LineTooLong
from tests.nodes.fake_files import FakeFiles
from tests.nodes.harness import Ran, run

TYPE = "files.read_lines"


def read(content: bytes, given: list[dict[str, Any]] | None = None, **params: Any) -> Ran:
    return run(TYPE, {"path": "f", **params}, given or [{}], files=FakeFiles({"f": content}))


def test_every_line_is_an_item_that_comes_from_the_item_that_named_the_file() -> None:
    files = FakeFiles({"a": b'{"n": 1}\n{"n": 2}\n', "b": b'{"n": 3}'})

    ran = run(TYPE, {"path": "{{ $json.name }}"}, [{"name": "a"}, {"name": "b"}], files=files)

    assert ran.ports == {"main": [{"n": 1}, {"n": 2}, {"n": 3}]}
    assert ran.lineage == {"main": [0, 0, 1]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n\n  \n", []),
        (b'{"n":1}', [{"n": 1}]),
        (b'{"n":1}\r\n{"n":2}\r\n', [{"n": 1}, {"n": 2}]),
        (b'\xef\xbb\xbf{"n":1}\n', [{"n": 1}]),
        (b'[1]\n"a"\nnull\n3', [{"value": [1]}, {"value": "a"}, {"value": None}, {"value": 3}]),
        ('{"s":"\u00fc \u2028"}\n'.encode(), [{"s": "\u00fc \u2028"}]),
    ],
)
def test_json_lines_are_read_as_people_write_them(content: bytes, expected: list[Any]) -> None:
    assert read(content).ports.get("main", []) == expected


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", []), (b"a\n\nb", ["a", "", "b"]), (b"a\r\nb\n", ["a", "b"]), (b"\n", [""])]
)
def test_lines_of_text_are_kept_as_they_are(content: bytes, expected: list[str]) -> None:
    assert read(content, format="text").ports.get("main", []) == [{"line": line} for line in expected]


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252"])
def test_other_encodings_are_read(encoding: str) -> None:
    content = "gr\u00fcn".encode(encoding)

    assert read(content, format="text", encoding=encoding).ports == {"main": [{"line": "gr\u00fcn"}]}
    assert read(b'{"s":"' + content + b'"}', encoding=encoding).ports == {"main": [{"s": "gr\u00fcn"}]}


def test_a_faulty_line_is_an_item_that_failed_and_the_others_are_read() -> None:
    ran = read(b'{"n":1}\n{"n":\n{"n":3}\n')

    assert ran.ports == {"main": [{"n": 1}, {"n": 3}]}
    [(item, error)] = ran.rejected
    assert item.json == {"line": 2, "text": '{"n":'}
    assert isinstance(error, LineFaulty)
    assert error.message.startswith("Line 2 of f: ")


def test_bytes_that_are_not_of_the_encoding_make_a_line_faulty() -> None:
    ran = read(b"ok\n\xff\n", format="text")

    assert ran.ports == {"main": [{"line": "ok"}]}
    assert ran.rejected[0][0].json == {"line": 2, "text": "\ufffd"}


def test_of_a_long_faulty_line_only_the_beginning_is_shown() -> None:
    [(item, _)] = read(b"x" * 5_000).rejected

    assert item.json["text"] == "x" * module.SHOWN_CHARACTERS_MAX


def test_an_item_whose_file_is_missing_fails_alone() -> None:
    files = FakeFiles({"a": b'{"n": 1}'})

    ran = run(TYPE, {"path": "{{ $json.name }}"}, [{"name": "no"}, {"name": "a"}], files=files)

    assert isinstance(ran.failed[0], FileMissing)
    assert ran.ports["main"] == [{"n": 1}]
    assert ran.logged == [("info", 1, "Read the file", {"path": "a", "lines": 1})]


def test_there_is_a_limit_to_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 20)

    assert isinstance(read(b'{"n":1}\n' + b"x" * 50).failed[0], LineTooLong)
