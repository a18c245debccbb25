"""flow.stop_and_error: end the execution as failed, with a message of the author's own."""

from collections.abc import Sequence

from pydantic import Field

from budflow.model.control import Begin, ControlCommand, ControlEvent, ControlState, Fail
from budflow.model.failure import Failure
from budflow.model.node import Example, Params, node

#: Beside a message of the author's own, which says what is wrong.
HINT = "The workflow ends like this by its own rules: the message is its author's."


class StopAndErrorParams(Params):
    """What the failure says."""

    message: str = Field(
        min_length=1,
        max_length=2000,
        description="What went wrong, for whoever reads the failed execution. Expressions see the first item.",
    )
    code: str = Field(
        default="workflow.stopped",
        pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$",
        max_length=100,
        description="A name for this failure that programs can compare: words in lower case, joined by dots.",
    )


@node(
    "flow.stop_and_error",
    kind="control",
    params=StopAndErrorParams,
    examples=[
        Example(
            title="Refuse an order without lines",
            params={"message": "Order {{ $json.id }} has no lines.", "code": "order.empty"},
            given=[{"id": 7, "lines": []}],
            expect={"error": [{"id": 7, "lines": []}]},
        )
    ],
)
def stop_and_error(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Fail with your own message as soon as an item arrives; use it behind a check that must not pass.

    Put it behind `flow.if` or `flow.filter`: it runs only when items reach it. The execution ends as failed, with the
    `message` and the `code`; it is never tried again. Only with `on_error` set do the items go on, by `error`
    (`error_output`) or by `main` (`continue`).
    """
    if isinstance(event, Begin):
        return None, [Fail(Failure(event.params.code, event.params.message, HINT))]
    return state, []
