"""What is kept of compiled texts is bounded by what it takes, not only by its number."""

import gc
import tracemalloc

import pytest

from budflow.expressions.cache import TextCache
from budflow.expressions.compile import TEMPLATE_BYTES_MAX, compile_anew, compile_template, weight_of


class Kitchen:
    """Makes of each text the text in capitals, which weighs its length, and knows how often."""

    def __init__(self, *, count_max: int = 100, weight_max: int = 10, heaviest: int = 5) -> None:
        self.made: list[str] = []
        self.cache = TextCache(self.make, len, count_max=count_max, weight_max=weight_max, heaviest=heaviest)

    def make(self, text: str) -> str:
        self.made.append(text)
        return text.upper()


def test_what_is_kept_is_made_once() -> None:
    kitchen = Kitchen()

    assert [kitchen.cache("a"), kitchen.cache("a")] == ["A", "A"]
    assert kitchen.made == ["a"]


def test_the_least_recently_used_give_way_to_what_is_heavy() -> None:
    kitchen = Kitchen(weight_max=10)
    for text in ("aaaa", "bbbb", "aaaa", "cccc"):
        kitchen.cache(text)

    assert kitchen.cache.weight == 8
    kitchen.made.clear()
    for text in ("aaaa", "cccc", "bbbb"):
        kitchen.cache(text)
    assert kitchen.made == ["bbbb"]


def test_the_least_recently_used_give_way_to_what_is_many() -> None:
    kitchen = Kitchen(count_max=2)
    for text in ("a", "b", "c"):
        kitchen.cache(text)

    assert (len(kitchen.cache), kitchen.cache.weight) == (2, 2)


def test_what_is_heavy_by_itself_drives_nothing_out() -> None:
    kitchen = Kitchen(weight_max=10, heaviest=5)
    kitchen.cache("aaaa")
    assert kitchen.cache("x" * 9) == "X" * 9

    assert (len(kitchen.cache), kitchen.cache.weight) == (1, 4)


def test_what_another_thread_has_made_meanwhile_counts_once() -> None:
    within: list[str] = []

    def make(text: str) -> str:
        if not within:
            within.append(text)
            cache(text)  # As another thread would, while this one is at it.
        return text.upper()

    cache = TextCache(make, len, count_max=100, weight_max=10, heaviest=5)

    assert cache("aa") == "AA"
    assert (len(cache), cache.weight) == (1, 2)


def test_what_fails_is_not_kept() -> None:
    def make(text: str) -> str:
        raise ValueError(text)

    cache = TextCache(make, len, count_max=100, weight_max=10, heaviest=5)

    with pytest.raises(ValueError, match="a"):
        cache("a")
    assert len(cache) == 0


# A long text of short expressions takes 250 times what its characters do: characters would be no measure.
@pytest.mark.parametrize(
    "text",
    [
        "{{ $json.a }}",
        "{{ $json.a + 1 }}",
        "{{1}}" * 499,
        "{{$json}}" * 499,
        "{{1<1<1}}" * 300,
        "{{[x for x in []]}}" * 150,
        "{{ " + "<".join("1" * 600) + " }}",
        "{{ [" + ",".join(map(str, range(1900))) + "] }}",
        "words " * 10_000 + "{{ $json.a }}",
        "wörter € 🎉 " * 10_000 + "{{ $json.a }}",
    ],
    ids=lambda text: f"{len(text)} of {text[:12]}",
)
def test_a_template_weighs_about_what_it_takes_of_memory(text: str) -> None:
    compile_anew(text)  # What all of them share is made with the first.
    texts = [text + " " * count for count in range(1, 4)]  # Not alone any more, as what is alone takes less.
    gc.collect()
    tracemalloc.start()
    templates = [compile_anew(one) for one in texts]
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert taken / 2 < sum(weight_of(template) for template in templates) < taken * 4


def test_a_template_that_takes_much_is_not_kept() -> None:
    text = "{{1<1<1<1<1<1}}" * 499

    assert weight_of(compile_anew(text)) > TEMPLATE_BYTES_MAX
    assert compile_template(text) is not compile_template(text)
    assert compile_template("{{ $json.kept }}") is compile_template("{{ $json.kept }}")
