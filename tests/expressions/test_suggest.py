"""Hints name the nearest word there is, whatever the words are."""

import random
from time import thread_time

import pytest

from budflow.expressions.suggest import did_you_mean
from budflow.expressions.table import table


@pytest.mark.parametrize(
    ("word", "near"),
    [("uniqe", "unique"), ("toSentenceCase", "sentence_case"), ("isOdd", "is_odd"), ("zfil", "zfill")],
)
def test_methods_are_found_also_from_names_in_camel_case(word: str, near: str) -> None:
    assert did_you_mean(word, table().method_names) == f'Did you mean "{near}"?'


def test_where_nothing_is_near_the_first_few_are_named() -> None:
    assert did_you_mean("zzz", ["name", "age"], label="Keys") == "Keys: name, age."
    assert did_you_mean(1, ["name"]) == "There are: name."
    assert did_you_mean("a", []) == ""


def test_many_long_keys_that_are_all_alike_take_no_time() -> None:
    drawn = random.Random(1)
    keys = ["".join(drawn.choices("ab", k=64)) for _ in range(1_000)]
    took = []
    for _ in range(3):
        started = thread_time()
        did_you_mean("ab" * 32, keys)
        took.append(thread_time() - started)
    assert min(took) < 0.03
