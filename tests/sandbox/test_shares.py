"""Places are shared: whoever comes first, the others find some."""

import pytest
from hypothesis import given, strategies as st

from budflow.sandbox.shares import PlacesTaken, Shares, ShareTaken


def _taken(shares: Shares, who: str) -> int:
    """How many places `who` gets until it is refused."""
    count = 0
    while True:
        try:
            shares.take(who)
        except PlacesTaken:
            return count
        count += 1


@pytest.mark.parametrize(("most", "half"), [(1, 1), (2, 1), (3, 2), (10, 5), (1_000, 500)])
def test_one_alone_gets_half(most: int, half: int) -> None:
    assert _taken(Shares(most), "a") == half


def test_each_further_one_finds_as_many_as_it_leaves() -> None:
    shares = Shares(100)

    assert [_taken(shares, who) for who in "abc"] == [50, 25, 13]


def test_what_is_given_back_is_there_for_the_others() -> None:
    shares = Shares(4)
    assert _taken(shares, "a") == 2
    shares.give_back("a")

    assert _taken(shares, "b") == 2
    assert shares.taken == 3


def test_which_limit_it_was_is_told() -> None:
    shares = Shares(2)
    shares.take("a")
    with pytest.raises(ShareTaken) as share:
        shares.take("a")
    assert (share.value.held, share.value.most) == (1, 2)

    shares.take("b")
    with pytest.raises(PlacesTaken) as full:
        shares.take("c")
    assert not isinstance(full.value, ShareTaken)


@given(st.integers(1, 40), st.lists(st.sampled_from("abcd"), max_size=100))
def test_who_has_none_gets_one_while_any_is_free(most: int, comers: list[str]) -> None:
    shares = Shares(most)
    held = dict.fromkeys("abcd", 0)
    for who in comers:
        try:
            shares.take(who)
        except PlacesTaken:
            assert held[who] or shares.taken == most
            continue
        held[who] += 1
    assert shares.taken == sum(held.values()) <= most
    assert all(2 * count <= most + 1 for count in held.values())
