"""The engine of regular expressions is loaded when it is first used, and its patterns are kept."""

import subprocess
import sys

from budflow.expressions.budget import Budget
from budflow.expressions.regular import compiled, every, first, matches


def test_heavy_engines_are_not_loaded_with_the_language() -> None:
    code = (
        "import sys; import budflow.expressions.compile; "
        "print(sorted({'re2', 'jmespath', 'dateutil', 'ray', '_strptime'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"


def test_a_pattern_is_compiled_once() -> None:
    assert compiled("once+") is compiled("once+")
    assert compiled("once+") is not compiled("once+", ignore_case=True)


def test_a_class_of_many_letters_counts_as_one_position() -> None:
    assert compiled(r"\pL").positions < 20
    assert compiled(r"a{200}").positions > 200


def test_matches_go_on_behind_the_last_and_never_split_a_character() -> None:
    found = [match.text for match in every(Budget(), "ö|", "aöb", limit=10)]
    assert found == ["", "ö", "", ""]


def test_no_more_is_matched_than_asked_for() -> None:
    assert [match.text for match in every(Budget(), "a", "aaa", limit=2)] == ["a", "a"]


def test_groups_are_none_where_they_took_no_part() -> None:
    found = first(Budget(), "(a)|(b)", "b")
    assert found is not None
    assert found.groups == (None, "b")


def test_an_entire_match_covers_the_text() -> None:
    assert matches(Budget(), "a|ab", "ab", entire=True)
    assert not matches(Budget(), "a", "ab", entire=True)
