"""The validator's part for the settings: the time zone, and the expressions of the key that executions count by."""

from collections.abc import Iterator
from zoneinfo import available_timezones

from budflow.errors import BudflowError
from budflow.expressions.compile import compile_template
from budflow.expressions.evaluate import RESERVED_NAMES
from budflow.graph.suggest import hint
from budflow.graph.validate_params import reserved_problems
from budflow.model.problem import Problem
from budflow.model.time_zone import is_time_zone
from budflow.model.workflow import Settings

#: The names that `concurrency_key` may read: what is known before the execution starts.
CONCURRENCY_KEY_NAMES = frozenset({"json", "workflow", "execution", "vars", "env"})


def settings_problems(settings: Settings) -> Iterator[Problem]:
    """What the shape of the settings does not tell."""
    if not is_time_zone(settings.timezone):
        message = f"There is no time zone `{settings.timezone[:100]}`."
        advice = f"{hint(settings.timezone, available_timezones(), 'time zone')} Names are those of the IANA database."
        yield Problem("settings.unknown_timezone", "/settings/timezone", message, advice, "run")
    if settings.concurrency_key is not None:
        yield from _key_problems(settings.concurrency_key, "/settings/concurrency_key")


def _key_problems(text: str, where: str) -> Iterator[Problem]:
    try:
        template = compile_template(text)
    except BudflowError as error:
        yield Problem(error.code, where, error.message, error.hint, "run")
        return
    yield from reserved_problems(template, where)
    for name in sorted(template.names - CONCURRENCY_KEY_NAMES - RESERVED_NAMES):
        message = f"The key is made before the execution starts: there is no `${name}` yet."
        advice = "Read `$json`, the data of the trigger's first item, `$workflow`, `$execution`, `$vars` or `$env`."
        yield Problem("expression.not_allowed", where, message, advice, "run")
