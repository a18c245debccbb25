"""http.respond: answer the request that started the execution."""

from collections.abc import Sequence
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from budflow.model.control import Begin, ControlCommand, ControlEvent, ControlState, FromInputs, Respond, Settle
from budflow.model.node import Example, Params, node
from budflow.nodes.http.headers import Headers, check_framing


class RespondParams(Params):
    """The answer."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    body: Any = Field(
        description="What is sent, computed with the first item, such as {{ $json }}. A text is sent as it is, null as "
        "an empty body, anything else as JSON."
    )
    status: int = Field(default=200, ge=200, le=599, description="HTTP status code.")
    headers: Headers = Field(
        default_factory=dict,
        max_length=64,
        description="Headers by name. `Content-Type` follows from the body unless it is given here.",
    )

    @field_validator("headers")
    @classmethod
    def _headers_are_free(cls, headers: Headers) -> Headers:
        return check_framing(headers)


@node(
    "http.respond",
    kind="control",
    params=RespondParams,
    examples=[
        Example(
            title="Answer with the item",
            params={"body": "{{ $json }}"},
            given=[{"order": 7, "accepted": True}],
            expect={"main": [{"order": 7, "accepted": True}]},
            responds=Respond(200, {}, {"order": 7, "accepted": True}),
        ),
        Example(
            title="Refuse with a text",
            params={"status": 422, "headers": {"Content-Type": "text/plain"}, "body": "No order {{ $json.id }}."},
            given=[{"id": 9}],
            expect={"main": [{"id": 9}]},
            responds=Respond(422, {"Content-Type": "text/plain"}, "No order 9."),
        ),
    ],
)
def respond(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Answer the webhook that started this execution, and go on: the items leave by `main`.

    Needs a `trigger.webhook` whose `respond` is `respond_node`. Only the first answer of an execution counts; nodes
    behind this one run after the answer. Where no request waits for an answer, nothing is sent.
    """
    if isinstance(event, Begin):
        answer = event.params
        return None, [
            Respond(answer.status, dict(answer.headers), answer.body),
            Settle({"main": FromInputs()}),
        ]
    return state, []
