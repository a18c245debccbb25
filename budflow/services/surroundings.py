"""What the server's settings let expressions read: `$vars`, and the variables of its environment that `$env` names."""

from collections.abc import Mapping
from typing import Any

from budflow.expressions.views import Listed
from budflow.settings import Settings

VARS_HINT = "Values stand in the server's setting `expression_vars`."
ENV_HINT = "The server's setting `expression_env` names the variables that expressions may read."


def surroundings_of(settings: Settings, environment: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    """`vars` and `env`; a variable that is not set is not there."""
    allowed = {name: environment[name] for name in settings.expression_env if name in environment}
    return {"vars": Listed(settings.expression_vars, VARS_HINT), "env": Listed(allowed, ENV_HINT)}
