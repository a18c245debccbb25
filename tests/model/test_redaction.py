"""Redaction: secrets are masked by their value, in every form that text takes on its way."""

import base64
import copy
import html
import json
import pickle
import re
import tracemalloc
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import orjson
import pytest
from hypothesis import given, strategies as st

from budflow.model.redaction import CHARS_MIN, NO_REDACTION, Redaction
from budflow.model.secret import SecretUnserializable

FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "component": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "form in small letters": lambda text: re.sub("%..", lambda found: found[0].lower(), quote_plus(text)),
    "address": lambda text: quote(text, safe="!$&'()*+,-./:;=@[\\]^_|~"),
    "encodeURI": lambda text: quote(text, safe=";,/?:@&=+$-_.!~*'()#"),
    "query": lambda text: urlencode({"key": text}),
    "json": json.dumps,
    "json utf-8": lambda text: json.dumps(text, ensure_ascii=False),
    "json with slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "json in json": lambda text: json.dumps(json.dumps({"key": text})),
    "html": html.escape,
    "html but quotes": lambda text: html.escape(text, quote=False),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "repr of bytes with both quotes": lambda text: repr(b"'\"" + text.encode()),
}
ODD = 'p@ss/wö rd+"quoted"&<\'%\\x'

secrets = st.text(st.characters(exclude_categories=["Cs"]), min_size=CHARS_MIN, max_size=40)
around = st.binary(max_size=8)
json_data = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [ODD, "canary", "sk-live-4f1b9a6e02d7", "日本語のパスワード"])
def test_every_form_is_masked(form: str, secret: str) -> None:
    written = FORMS[form](secret)

    masked = Redaction([secret]).text(f"before {written} after")

    assert "***" in masked
    assert secret not in masked
    assert len(masked) <= len("before  after") + len("***") + len('key="\\"{}:') * 2


@given(
    secret=secrets,
    before=around,
    after=around,
    form=st.sampled_from(["plain", "hex", "component", "json", "repr", "repr of bytes"]),
)
def test_no_form_survives_in_any_text(secret: str, before: bytes, after: bytes, form: str) -> None:
    written = FORMS[form](secret)
    if form not in ("plain", "hex", "component"):
        written = written.removeprefix("b")[1:-1]  # Without the quotation marks around it.

    assert written not in Redaction([secret]).text(before.hex() + written + after.hex()) or written in "***"


@given(secret=secrets, before=around, after=around)
def test_base64_is_masked_at_any_offset(secret: str, before: bytes, after: bytes) -> None:
    redaction = Redaction([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(before + secret.encode() + after).decode()

        masked = redaction.text(whole)

        # What is left of it are the characters that it shares with its neighbours, less than a triple on each side.
        assert "***" in masked
        begun = len(before) * 8 // 6
        ended = -(-(len(before) + len(secret.encode())) * 8 // 6)
        assert masked.startswith(whole[:begun])
        left = len(masked.replace("***", "")) - begun - len(whole[ended:])
        assert left <= 3


@given(secret=secrets, before=around, after=around)
def test_octets_are_masked_as_text_is(secret: str, before: bytes, after: bytes) -> None:
    masked = Redaction([secret]).octets(before + b" " + secret.encode() + b" " + after)

    assert secret.encode() not in masked or secret in "***"


def test_octets_without_a_secret_are_the_same_object() -> None:
    data = b"\xff\xfe nothing \x00"

    assert Redaction(["canary"]).octets(data) is data
    assert Redaction(["canary"]).octets(b"\xffcanary\xfe") == b"\xff***\xfe"


@given(json_data)
def test_data_without_secrets_is_the_same_object(value: object) -> None:
    assert Redaction(["a-secret-nobody-generates"]).data(value) is value
    assert NO_REDACTION.data(value) is value


@given(json_data, secrets)
def test_data_with_a_secret_anywhere_holds_none_afterwards(value: object, secret: str) -> None:
    for holding in (
        [value, secret],
        {"a": value, "b": f"<{secret}>"},
        {secret: value},
        {"a": [{"b": (secret, value)}]},
    ):
        before = copy.deepcopy(holding)

        masked = Redaction([secret]).data(holding)

        assert not list(_texts_with(masked, secret)) or secret in "***"
        assert holding == before


@given(json_data, secrets, st.sampled_from(list(FORMS)))
def test_what_is_masked_in_data_shows_in_its_json(value: object, secret: str, form: str) -> None:
    redaction = Redaction([secret])

    for held in (value, [value, FORMS[form](secret)], {FORMS[form](secret): value}):
        assert redaction.data(held) is held or redaction.may_be_in(orjson.dumps(held))


def test_a_digit_secret_in_a_number_shows_however_the_number_is_written() -> None:
    held = {"number": 1.2345678901234568e17}

    redaction = Redaction(["12345678901234568"])

    assert redaction.may_be_in(orjson.dumps(held))


def test_the_shape_of_data_stays() -> None:
    data = {"a": [1, None, True, 1.5, "x canary y"], "canary": {"b": ("canary", 2)}, "c": "plain"}

    assert Redaction(["canary"]).data(data) == {
        "a": [1, None, True, 1.5, "x *** y"],
        "***": {"b": ("***", 2)},
        "c": "plain",
    }


def test_data_that_nests_deeper_than_the_stack_is_masked_all_the_same() -> None:
    clean: list[object] = ["nothing"]
    holding: list[object] = ["canary"]
    for _ in range(20_000):
        clean, holding = [clean], [holding]
    redaction = Redaction(["canary"])

    assert redaction.data(clean) is clean
    masked = redaction.data(holding)
    while isinstance(masked, list):
        [masked] = masked
    assert masked == "***"


def test_of_secrets_that_overlap_nothing_is_left() -> None:
    redaction = Redaction(["abcdef", "defghi", "abcdefgh-long"])

    assert redaction.text("<abcdefghi>") == "<***>"
    assert redaction.text("<abcdefgh-long>") == "<***>"
    assert redaction.text("<abcdefdefghi>") == "<******>"


def test_a_secret_that_repeats_itself_leaves_no_rest() -> None:
    assert Redaction(["ababab"]).text("xabababababy") == "x***y"


def test_a_secret_of_digits_is_masked_where_it_was_read_as_a_number() -> None:
    redaction = Redaction(["4711081500"])

    assert redaction.data({"pin": 4711081500, "n": 4711081501, "t": "4711081500"}) == {
        "pin": "***",
        "n": 4711081501,
        "t": "***",
    }


def test_short_secrets_are_left_because_they_would_destroy_data() -> None:
    data = {"status": "true", "n": ["true"]}

    assert Redaction(["true", "", "12345"]).data(data) is data


def test_it_cannot_be_pickled_with_what_it_looks_for() -> None:
    redaction = Redaction(["canary"])

    with pytest.raises(SecretUnserializable):
        pickle.dumps(redaction)
    assert copy.deepcopy(redaction) is redaction
    assert pickle.loads(pickle.dumps(NO_REDACTION)).text("canary") == "canary"
    assert "canary" not in repr(redaction)


def _texts_with(value: object, secret: str) -> list[str]:
    if isinstance(value, str):
        return [value] if secret in value else []
    if isinstance(value, dict):
        return [text for part in (*value, *value.values()) for text in _texts_with(part, secret)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts_with(part, secret)]
    return []


@pytest.mark.parametrize("secret", ["aaaaaa", "abaaba", "abcabc", "xyzxyzx"])
def test_a_secret_that_overlaps_itself_leaves_nothing_standing(secret: str) -> None:
    redaction = Redaction([secret])
    for size in range(len(secret), 3 * len(secret) + 1):
        chained = (secret * 3)[:size]
        for text in (chained, f"-{chained}-", f"{chained}-{chained}"):
            covered = {at + n for at in range(len(text)) if text.startswith(secret, at) for n in range(len(secret))}
            left = "".join(sign for at, sign in enumerate(text) if at not in covered)
            assert redaction.text(text).replace("***", "") == left


def test_an_answer_full_of_a_secret_takes_neither_long_nor_much_memory() -> None:
    tracemalloc.start()
    assert Redaction(["a" * 6]).text("a" * 1_000_000) == "***"
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
