"""Conditions on the labels of Ray nodes, as Ray understands them."""

import pytest

from budflow.model.label import LabelCondition, is_label


@pytest.mark.parametrize(
    ("text", "met", "unmet"),
    [
        ("gpu", ["gpu"], ["GPU", "cpu", None]),
        ("!gpu", ["cpu", None], ["gpu"]),
        ("in(a, b)", ["a", "b"], ["c", None]),
        ("in(a,b)", ["a", "b"], ["ab", None]),
        ("!in(a, b)", ["c", None], ["a", "b"]),
        ("in", ["in"], ["a"]),
    ],
)
def test_a_condition_is_met_by_some_values_or_by_none(
    text: str, met: list[str | None], unmet: list[str | None]
) -> None:
    condition = LabelCondition.parse(text)

    assert condition is not None
    assert all(map(condition.met_by, met))
    assert not any(map(condition.met_by, unmet))


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "!", "!!a", "in()", "in(a", "in(a b)", "in(a,,b)", "(a)", "a b", "a" * 64]
)
def test_what_ray_does_not_understand_is_none(text: str) -> None:
    assert LabelCondition.parse(text) is None


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("tier", True),
        ("ray.io/market-type", True),
        ("a_b.c-d", True),
        ("", False),
        ("/a", False),
        ("a/", False),
        ("a/b/c", False),
        ("tier!", False),
        ("a" * 64, False),
        ("d" * 254 + "/a", False),
    ],
)
def test_names_are_those_of_kubernetes(name: str, right: bool) -> None:
    assert is_label(name) is right
