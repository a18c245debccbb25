"""Did-you-mean."""

import pytest

from budflow.graph.suggest import SHOWN_MAX, closest, hint, listed


@pytest.mark.parametrize(
    ("wrong", "names", "meant"),
    [
        ("parms", ["params", "type"], "params"),
        ("PARAMS", ["parms", "params"], "params"),
        ("zzz", ["params", "type"], None),
        ("", ["a"], None),
        ("x", [], None),
    ],
)
def test_the_closest_name(wrong: str, names: list[str], meant: str | None) -> None:
    assert closest(wrong, names) == meant


def test_a_hint_names_the_closest_or_what_there_is() -> None:
    assert hint("parms", ["params"], "field") == "Did you mean `params`?"
    assert hint("zzz", ["b", "a"], "field") == "Use one of these: `a`, `b`."
    assert hint("zzz", [], "field") == "There is no field to choose from."


def test_a_long_list_is_cut() -> None:
    assert listed(str(number) for number in range(SHOWN_MAX + 1)).endswith(f"`{SHOWN_MAX - 1}`, …")
