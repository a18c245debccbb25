"""Secrets: passed on and used, and never written."""

import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Annotated, Any

import orjson
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from budflow.model.secret import MASK, Secret, SecretText, SecretUnserializable

CANARY = "canary-7f3a"
SECRET = Secret(CANARY)


class Login(BaseModel):
    token: Annotated[Secret, SecretText(max_length=20, pattern="^[a-z0-9-]+$", meaning="Small letters only.")]
    extra: Annotated[Secret, SecretText()] | None = None


class Params(BaseModel):
    token: Secret


def test_it_gives_its_text_to_who_asks_for_it() -> None:
    assert SECRET.reveal() == CANARY


@pytest.mark.parametrize(
    "shown",
    [
        str(SECRET),
        repr(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>20}".strip(),
        "%s %r" % (SECRET, SECRET),  # noqa: UP031 - logging formats so
        "{:^40}".format(SECRET),  # noqa: UP032 - that is what is tried
        str([SECRET]),
        str({"a": SECRET}),
        repr(Login(token=SECRET)),
        str(Exception(SECRET)),
        ascii(SECRET),
    ],
)
def test_however_it_is_shown_it_is_a_mask(shown: str) -> None:
    assert CANARY not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "write",
    [
        pickle.dumps,
        lambda secret: pickle.dumps({"a": [secret]}, protocol=0),
        json.dumps,
        orjson.dumps,
        lambda secret: TypeAdapter(Secret).dump_json(secret),
        lambda secret: Login(token=secret).model_dump(),
        lambda secret: Login(token=secret).model_dump_json(),
        lambda secret: Params(token=secret).model_dump_json(),
    ],
)
def test_it_cannot_be_written(write: Callable[[Any], object]) -> None:
    with pytest.raises((SecretUnserializable, TypeError, PydanticSerializationError)) as refused:
        write(SECRET)

    assert CANARY not in str(refused.value)


def test_it_has_nothing_that_a_curious_printer_could_walk() -> None:
    assert not hasattr(SECRET, "__dict__")
    assert CANARY not in str(dir(SECRET))


def test_a_log_line_holds_the_mask(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("token %s", SECRET)

    assert CANARY not in caplog.text


def test_copies_are_the_same_secret() -> None:
    assert copy.copy(SECRET) is SECRET
    assert copy.deepcopy({"a": [SECRET]})["a"][0] is SECRET


def test_it_equals_only_a_secret_of_the_same_text_and_has_no_hash() -> None:
    assert Secret(CANARY) == SECRET
    assert Secret("canary-7f3b") != SECRET
    assert Secret("") != SECRET
    assert SECRET != CANARY
    with pytest.raises(TypeError):
        hash(SECRET)


def test_a_field_of_a_kind_is_given_as_text_or_as_a_secret() -> None:
    assert Login.model_validate({"token": CANARY}).token == SECRET
    assert Login.model_validate({"token": SECRET}).token == SECRET
    assert Login.model_validate_json(json.dumps({"token": CANARY, "extra": "e"})).extra == Secret("e")


@pytest.mark.parametrize("token", ["", "CANARY", "canary " + "x" * 20, "canary\n", b"canary", ["canary"], 5, None])
@pytest.mark.parametrize(
    "wrap", [lambda token: token, lambda token: Secret(token) if isinstance(token, str) else token]
)
def test_what_does_not_fit_is_refused(token: object, wrap: Callable[[object], object]) -> None:
    with pytest.raises(ValidationError):
        Login.model_validate({"token": wrap(token)})


def test_the_message_says_what_the_pattern_means() -> None:
    with pytest.raises(ValidationError, match="Small letters only") as refused:
        Login.model_validate({"token": "CANARY"})

    assert [problem["msg"] for problem in refused.value.errors()] == ["Small letters only."]


def test_a_parameter_that_takes_a_secret_takes_no_text() -> None:
    assert Params(token=SECRET).token is SECRET
    with pytest.raises(ValidationError):
        Params.model_validate({"token": "plain"})


def test_the_schema_says_that_it_is_written_only() -> None:
    assert Login.model_json_schema()["properties"]["token"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 20,
        "pattern": "^[a-z0-9-]+$",
        "x-secret": True,
        "title": "Token",
    }
    assert Params.model_json_schema()["properties"]["token"] == {"type": "string", "x-secret": True, "title": "Token"}
