"""The queue goes round over the projects."""

import pytest
from hypothesis import given, strategies as st

from budflow.sandbox.fair_queue import FairQueue
from budflow.sandbox.shares import PlacesTaken, ShareTaken


def _queue(*waiting: tuple[str, str, str]) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(100)
    for project, kind, value in waiting:
        queue.add(project, kind, value)
    return queue


def test_projects_take_turns() -> None:
    queue = _queue(("a", "k", "a1"), ("a", "k", "a2"), ("a", "k", "a3"), ("b", "k", "b1"))

    assert queue.in_turn(10) == ["a1", "b1", "a2", "a3"]


def test_who_was_served_comes_last() -> None:
    queue = _queue(("a", "k", "a1"), ("b", "k", "b1"), ("c", "k", "c1"))
    queue.served("a")

    assert queue.in_turn(3) == ["b1", "c1", "a1"]


def test_each_kind_of_a_project_has_its_head() -> None:
    queue = _queue(("a", "k", "a1"), ("a", "k", "a2"), ("a", "l", "a3"))

    assert queue.heads() == ["a1", "a3"]


def test_a_full_one_refuses_until_somebody_leaves() -> None:
    queue: FairQueue[str] = FairQueue(1)
    queue.add("a", "k", "a1")
    with pytest.raises(PlacesTaken):
        queue.add("b", "k", "b1")

    queue.remove("a", "k", "a1")
    queue.remove("a", "k", "a1")  # The second time does nothing.
    queue.add("b", "k", "b1")

    assert queue.everyone() == ["b1"]


def test_a_project_has_half_of_it_and_leaves_the_rest_to_the_others() -> None:
    queue: FairQueue[str] = FairQueue(4)
    for value in ("a1", "a2"):
        queue.add("a", "k", value)

    with pytest.raises(ShareTaken):
        queue.add("a", "another kind", "a3")
    queue.add("b", "k", "b1")
    queue.remove("a", "k", "a1")
    queue.remove("a", "k", "a2")
    queue.add("b", "k", "b2")

    assert queue.everyone() == ["b1", "b2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("kl")), max_size=40), st.data())
def test_nobody_is_lost_and_each_project_keeps_its_order(waiting: list[tuple[str, str]], data: st.DataObject) -> None:
    queue: FairQueue[int] = FairQueue(200)
    for number, (project, kind) in enumerate(waiting):
        queue.add(project, kind, number)
    for project in data.draw(st.lists(st.sampled_from("abc"))):
        queue.served(project)

    served = queue.in_turn(len(waiting))

    assert sorted(served) == list(range(len(waiting)))
    assert len(queue) == len(waiting)
    for wanted in set(waiting):
        mine = [number for number in served if waiting[number] == wanted]
        assert mine == sorted(mine)
