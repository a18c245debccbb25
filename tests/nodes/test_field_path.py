"""Field paths: reading anywhere, changing only what is owned."""

import pytest
from pydantic import TypeAdapter, ValidationError

from budflow.nodes.field_path import FieldPath, PathBlocked, put, read, remove

JSON = {"a": {"b": [10, {"c": 20}]}, "n": None, "t": "text"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.0", 10),
        ("a.b.1.c", 20),
        ("a.b.2", None),
        ("a.b.-1", None),
        ("a.x.y", None),
        ("n.x", None),
        ("t.0", None),
        ("missing", None),
    ],
)
def test_reading_gives_the_value_or_none(path: str, value: object) -> None:
    assert read(JSON, path) == value


def test_putting_copies_the_objects_on_the_way_and_no_others() -> None:
    inner, untouched = {"x": 1}, {"y": 2}
    shared = {"inner": inner, "untouched": untouched}
    mine = {"shared": shared}

    put(mine, "shared.inner.x", 5)

    assert mine == {"shared": {"inner": {"x": 5}, "untouched": {"y": 2}}}
    assert inner == {"x": 1}
    assert shared["inner"] is inner
    assert mine["shared"]["untouched"] is untouched


def test_putting_makes_what_is_missing_or_null() -> None:
    json: dict[str, object] = {"n": None}

    put(json, "n.a.b", 1)
    put(json, "m", 2)

    assert json == {"n": {"a": {"b": 1}}, "m": 2}


@pytest.mark.parametrize("holder", ["text", 3, False, [1], ""])
def test_putting_into_what_is_no_object_is_refused(holder: object) -> None:
    with pytest.raises(PathBlocked, match="a holds no object"):
        put({"a": holder}, "a.b", 1)


def test_removing_copies_and_forgives_what_is_missing() -> None:
    inner = {"x": 1, "y": 2}
    mine = {"inner": inner, "t": "text", "list": [{"x": 1}]}

    for path in ("inner.x", "inner.z", "no.such", "t.x", "list.0.x"):
        remove(mine, path)

    assert mine == {"inner": {"y": 2}, "t": "text", "list": [{"x": 1}]}
    assert inner == {"x": 1, "y": 2}


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a" * 501])
def test_a_path_without_names_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FieldPath).validate_python(path)
