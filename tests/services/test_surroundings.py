"""What expressions may read of the server: values from its settings, and the variables that those name."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.services.surroundings import surroundings_of
from budflow.settings import Settings


def test_only_variables_that_are_named_and_set_can_be_read() -> None:
    settings = Settings(expression_env=("REGION", "UNSET"))

    around = surroundings_of(settings, {"REGION": "north", "TOKEN": "hidden"})

    assert around["env"] == {"REGION": "north"}
    assert around["vars"] == {}


def test_both_can_be_set_by_variables_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_EXPRESSION_ENV", "REGION, STAGE")
    monkeypatch.setenv("BUDFLOW_EXPRESSION_VARS", '{"rate": 0.5, "limits": {"max": 10}}')

    settings = Settings()

    assert settings.expression_env == ("REGION", "STAGE")
    assert surroundings_of(settings, {})["vars"] == {"rate": 0.5, "limits": {"max": 10}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"expression_env": ("BUDFLOW_ENCRYPTION_KEYS",)},
        {"expression_env": ("budflow_redis_url",)},
        {"expression_env": ("no name",)},
        {"expression_vars": {"a b": 1}},
        {"expression_vars": {"_a": 1}},
        {"expression_vars": {"a": float("nan")}},
        {"expression_vars": {"a": object()}},
        {"expression_vars": "{"},
    ],
)
def test_what_no_expression_may_or_can_read_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)
