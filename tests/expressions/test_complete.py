"""Completions come from the data that is there and the call table, and say what takes the place of what."""

from time import thread_time

import pytest

from budflow.expressions.complete import Completion, Seen, complete
from budflow.expressions.evaluate import Scope


@pytest.fixture
def seen(scope: Scope) -> Seen:
    return Seen([scope], ["fetch"])


def at(marked: str, seen: Seen) -> tuple[int, dict[str, Completion]]:
    """What may stand at the `|`, by label, and where it is inserted."""
    found = complete(marked.replace("|", "", 1), marked.index("|"), seen)
    return found.start, {one.label: one for one in found.found}


def test_a_function_comes_with_its_signature_and_what_it_does(seen: Seen) -> None:
    _, found = at("{{ $json.name.upp| }}", seen)

    upper = found["upper"]
    assert (upper.kind, upper.insert, upper.detail) == ("method", "upper(", ".upper()")
    assert upper.doc


def test_a_field_comes_with_the_kind_of_its_value(seen: Seen) -> None:
    start, found = at("{{ $json.user.ta| }}", seen)

    assert start == 14
    assert (found["tags"].kind, found["tags"].detail) == ("field", "a list")


@pytest.mark.parametrize(
    ("marked", "label"),
    [
        ("{{ $json.rows[0].ki| }}", "kind"),
        ("{{ $json.rows[-1].ki| }}", "kind"),
        ("{{ ($json.user or {}).em| }}", "email"),
        ("{{ $json.rows.first().ki| }}", "kind"),
        ("{{ parse_json('{\"k\": 1}').k| }}", "k"),
        ("{{ $json['user'].em| }}", "email"),
        ("{{ $json?.user?.em| }}", "email"),
        ("{{ 1 + $json.user.em| }}", "email"),
        ("{{ [$json.user.em|", "email"),
        ("{{ $json.name }} {{ $json.user.em|", "email"),
        ("{{ $json.user['em| }}", "email"),
        ('{{ $json.user.tags.join("]").up| }}', "upper"),
        ("{{ $execution.i| }}", "id"),
    ],
)
def test_what_stands_before_the_dot_is_read_back_to_its_beginning(marked: str, label: str, seen: Seen) -> None:
    assert label in at(marked, seen)[1]


@pytest.mark.parametrize(
    "marked", ["{{ 9 ** 9 ** 9.| }}", "{{ $json.zzz.| }}", "{{ ).| }}", "{{ ['a.|", "{{ 'a.b.|'", "a.|b {{ 1 }}"]
)
def test_what_cannot_be_read_has_no_completions(marked: str, seen: Seen) -> None:
    assert at(marked, seen)[1] == {}


def test_a_key_in_brackets_is_closed(seen: Seen) -> None:
    start, found = at("{{ $json['first|'] }}", seen)

    assert (start, found["first-name"].insert) == (10, "first-name']")


def test_nothing_of_a_secret_is_told(seen: Seen) -> None:
    assert at("{{ $secrets.token.| }}", seen)[1] == {}


@pytest.mark.parametrize(
    "text",
    ["a" * 250_000 + "!a", "a" * 250_000, "{{#}}" * 50_000, "$a.a" * 50_000, ")" * 250_000, "('" * 120_000 + "."],
)
def test_a_long_text_takes_no_longer_than_reading_it(text: str, seen: Seen) -> None:
    began = thread_time()
    complete(text, len(text), seen)

    assert thread_time() - began < 1  # The square of its length would be minutes.
