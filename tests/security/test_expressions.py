"""No expression reaches the host, tells a secret or takes long: each attempt ends so, and the next one works."""

import gc
import json
import time
from collections.abc import Iterator

import pytest

from budflow.errors import BudflowError
from budflow.execution.interpreter import GARBAGE_THRESHOLDS
from budflow.expressions.budget import full_collections
from budflow.expressions.compile import compile_template
from budflow.expressions.evaluate import ExpressionFailed
from budflow.expressions.tokenize import ExpressionInvalid
from tests.security.expression_attempt import Attempt
from tests.security.expression_attempts import ESCAPES
from tests.security.expression_exhaustion import EXHAUSTION, SECRETS
from tests.security.place import SCOPE, SECRET

ATTEMPTS = (*ESCAPES, *SECRETS, *EXHAUSTION)
CPU_SECONDS_MAX = 0.05
SLACK = 4  # For a machine that is slow, or whose caches others use; of its processor's time nobody else takes any.
ATTEMPTS_MIN = 120


def come_to(text: str) -> tuple[object, BudflowError | None]:
    """The value of a text, or its error; anything else that is raised is an escape."""
    try:
        return compile_template(text).evaluate(SCOPE), None
    except (ExpressionInvalid, ExpressionFailed) as error:
        return None, error


def shown(error: BudflowError) -> str:
    """All that a reader could see of an error."""
    return f"{error.message} {error.hint} {error.details} {error!r} {error.__cause__}"


@pytest.fixture
def own_time() -> Iterator[None]:
    """Without the garbage collector, which would look through all that other tests have left in this process."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("own_time")
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_an_attempt_is_stopped_in_time_and_the_next_expression_works(attempt: Attempt) -> None:
    began = time.thread_time()
    value, error = come_to(attempt.text)
    seconds = time.thread_time() - began

    assert (error.code if error else None) == attempt.code, shown(error) if error else value
    if error is None:
        assert value == attempt.value
        json.dumps(value)
    else:
        assert error.message and error.hint
        assert SECRET not in shown(error)
        assert "0x" not in error.message or "0x" in attempt.text  # No address of an object.
    assert seconds < CPU_SECONDS_MAX * SLACK
    assert come_to("{{ $json.name.upper() }}") == ("ADA", None)


def test_no_attempt_has_the_whole_process_looked_through_for_garbage() -> None:
    as_it_was = gc.get_threshold()
    gc.collect()  # From here on what others have left does not count.
    looked_through = full_collections()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        for attempt in EXHAUSTION:
            come_to(attempt.text)
    finally:
        gc.set_threshold(*as_it_was)

    assert full_collections() == looked_through


def test_there_are_many_attempts_and_each_is_another() -> None:
    assert len({attempt.text for attempt in ATTEMPTS}) == len(ATTEMPTS) >= ATTEMPTS_MIN


@pytest.mark.parametrize("text", ["{{ $secrets.auth.token }}", "{{ $secrets.auth['token'] }}"])
def test_a_secret_leaves_by_itself_only(text: str) -> None:
    value, error = come_to(text)

    assert error is None
    assert type(value).__name__ == "Secret"
