"""Faults of values are told at their places, and no value is ever quoted."""

import pickle
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, field_validator

from budflow.credentials.find_kinds import find_kinds
from budflow.model.credential_kind import CredentialKind
from budflow.model.problem import Problem
from budflow.model.secret import Secret, SecretText
from budflow.services.credential_values import VALUES_BYTES_MAX, CredentialInvalid, secret_names, values_problems

KINDS = find_kinds()
CANARY = "canary-4f1d9b7e02a6"


class Careless(CredentialKind):
    """A kind whose validators quote what they are given."""

    name: ClassVar[str] = "careless"

    token: Annotated[Secret, SecretText()] = Field(description="The token.")
    user: str = Field("", description="The user.")
    algorithm: Literal["a", "b"] = Field("a", description="The algorithm.")
    more: dict[str, Annotated[Secret, SecretText()]] = Field(default_factory=dict, description="More of them.")
    parts: list[int] = Field(default_factory=list, description="Numbers.")

    @field_validator("user")
    @classmethod
    def _checked(cls, user: str) -> str:
        if user:
            raise ValueError(f"the user {user} is not known")
        return user


def found(values: Mapping[str, Any], kind: type[CredentialKind] = Careless) -> dict[str, Problem]:
    return {problem.path: problem for problem in values_problems(kind, values)}


def test_good_values_have_no_problems() -> None:
    assert found({"token": CANARY}) == {}
    assert found({"token": CANARY}, KINDS["bearer"]) == {}


def test_every_fault_is_told_at_its_place() -> None:
    problems = found({"tokn": CANARY, "algorithm": CANARY, "parts": ["x"], "more": {"a": 1}})

    assert {path: problem.code for path, problem in problems.items()} == {
        "/values/token": "credential.missing_field",
        "/values/tokn": "credential.unknown_field",
        "/values/algorithm": "credential.invalid_value",
        "/values/parts/0": "credential.invalid_value",
        "/values/more/a": "credential.invalid_value",
    }
    assert problems["/values/tokn"].hint == "Did you mean `token`?"
    assert problems["/values/token"].hint == "Add it. The token."


@pytest.mark.parametrize(
    "values",
    [
        {"token": [CANARY]},
        {"token": {"token": CANARY}},
        {"token": CANARY * 2000},
        {"token": 1, "user": CANARY},
        {"token": "t", "algorithm": CANARY},
        {"token": "t", "parts": CANARY},
        {"token": "t", "parts": [CANARY]},
        {"token": "t", "more": {"a": [CANARY]}},
        {"token": "t", "more": CANARY},
        {CANARY + " as a key": "t"},
        {"token": "t", "more": {CANARY * 3: 5}},
        {"token": CANARY + "\ud800"},
        {"token": CANARY, "user": float("nan")},
        {"token": "t", "user": CANARY.encode()},
    ],
)
def test_no_value_is_quoted(values: dict[str, Any]) -> None:
    problems = list(values_problems(Careless, values))

    assert problems
    assert CANARY not in repr(problems)
    assert CANARY not in str(CredentialInvalid(problems=tuple(problems)))


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("shape", [CANARY, f" {CANARY}\n", f"{CANARY}\x00é", [CANARY], {"a": CANARY}, {CANARY: CANARY}])
def test_no_kind_quotes_what_it_is_given(kind: str, shape: Any) -> None:
    """A value of each shape in every field."""
    values = dict.fromkeys([*KINDS[kind].model_fields, "more_of_it"], shape)

    problems = list(values_problems(KINDS[kind], values))

    assert problems, "there is an unknown field at least"
    assert CANARY not in repr(problems)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nothing_entered_is_told_by_the_names_of_what_is_missing(kind: str) -> None:
    required = {f"/values/{name}" for name, field in KINDS[kind].model_fields.items() if field.is_required()}

    assert set(found({}, KINDS[kind])) >= required


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"token": "t" * VALUES_BYTES_MAX}, "credential.values_too_large"),
        ({"token": "\udc00"}, "credential.values_unwritable"),
        ({"token": object()}, "credential.values_unwritable"),
    ],
)
def test_what_cannot_be_kept_is_refused(values: dict[str, Any], code: str) -> None:
    [problem] = values_problems(Careless, values)

    assert (problem.code, problem.path) == (code, "/values")


def test_the_secret_fields_are_those_that_hold_a_secret() -> None:
    assert secret_names(Careless, {"token": "t"}) == {"token"}
    assert secret_names(Careless, {"user": "ada", "algorithm": "z"}) == {"user", "algorithm"}, "it cannot be known"
    assert secret_names(Careless, {"token": "t", "more": {"a": "b"}, "parts": [1]}) == {"token", "more"}


def test_the_problems_cross_a_process_boundary() -> None:
    error = CredentialInvalid(problems=tuple(values_problems(Careless, {})), hint="Look.")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is CredentialInvalid
    assert (again.problems, again.message, again.hint) == (error.problems, error.message, "Look.")
