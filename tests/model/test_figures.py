"""Figures that only grow."""

from budflow.model.figures import Counts, Spread, Spreads


def test_counts_are_kept_by_their_labels() -> None:
    counts = Counts()
    counts.add("failed", "webhook")
    counts.add("failed", "api", by=2)
    counts.add("succeeded", "api")

    assert counts.read() == {("failed", "webhook"): 1, ("failed", "api"): 2, ("succeeded", "api"): 1}
    assert counts.total("failed") == 3
    assert counts.total() == 4


def test_what_was_read_does_not_change_any_more() -> None:
    counts = Counts()
    before = counts.read()
    counts.add()

    assert before == {}


def test_a_bucket_counts_what_is_no_larger_than_its_bound() -> None:
    spread = Spread((1, 10))
    for value in (0, 1, 1.5, 10, 11):
        spread.add(value)

    assert spread.cumulative() == [2, 4, 5]
    assert spread.count == 5
    assert spread.sum == 23.5


def test_each_label_has_a_histogram_of_its_own() -> None:
    spreads = Spreads((1,))
    spreads.add(0.5, "a")
    spreads.add(2, "b")

    assert {labels: spread.cumulative() for labels, spread in spreads.read().items()} == {
        ("a",): [1, 1],
        ("b",): [0, 1],
    }
