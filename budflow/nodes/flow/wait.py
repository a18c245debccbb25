"""flow.wait: hold the items until a time, a request, a filled form or a person's decision."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from budflow.model.control import (
    Begin,
    ControlCommand,
    ControlEvent,
    ControlState,
    FromAnswer,
    FromInputs,
    ItemsFrom,
    Settle,
    Wait,
    WaitOver,
)
from budflow.model.execution import WaitReason
from budflow.model.failure import NodeError
from budflow.model.node import Example, Params, Static, node
from budflow.nodes.json_value import kind_of
from budflow.nodes.typed_value import WORDS, is_of_type

Mode = Literal["duration", "date", "webhook", "form", "approval"]
EXPIRED_PORT = "expired"
ANSWER_FIELD = "answer"
SECONDS_MAX = 10 * 366 * 86_400
COMMENT_CHARS_MAX = 10_000

#: The parameter that each mode cannot do without.
NEEDED: Mapping[Mode, str] = {"duration": "seconds", "date": "until", "form": "fields", "approval": "text"}
#: The parameters that only some modes read.
READ_BY: Mapping[str, tuple[Mode, ...]] = {
    "seconds": ("duration",),
    "until": ("date",),
    "fields": ("form",),
    "text": ("webhook", "form", "approval"),
    "approvers": ("approval",),
    "expires_after_seconds": ("webhook", "form", "approval"),
}


class AnswerInvalid(NodeError):
    """This is no answer to what is waited for."""

    code = "wait.answer_invalid"
    http_status = 422
    hint = "Look at the wait: `ask` says what is asked for."


class FormField(Params):
    """One field of a form."""

    name: Annotated[str, Static] = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="Where the value stands in the answer."
    )
    label: str = Field(default="", max_length=200, description="What people read beside it; left out, the name.")
    type: Annotated[Literal["string", "number", "integer", "boolean"], Static] = Field(
        default="string", description="What may be entered."
    )
    required: Annotated[bool, Static] = Field(default=False, description="Take no answer without this field.")


class WaitParams(Params):
    """What is waited for."""

    mode: Annotated[Mode, Static] = Field(
        description="`duration`: so many `seconds`. `date`: `until` then. `webhook`: a POST request. `form`: somebody "
        "fills in `fields`. `approval`: somebody approves or rejects `text`."
    )
    seconds: float | None = Field(
        default=None,
        ge=0,
        le=SECONDS_MAX,
        description="For `duration`: how long, in seconds; 3600 is an hour, 86400 a day.",
    )
    until: AwareDatetime | None = Field(
        default=None,
        description="For `date`: the time as ISO 8601 with its offset, such as 2030-01-31T09:00:00+01:00, or "
        "{{ $now.plus(days=3) }}. One that is past is over at once.",
    )
    text: str = Field(
        default="",
        max_length=10_000,
        description="For `approval`, which cannot go without, `form` and `webhook`: what who answers is shown, such as "
        "Pay {{ $json.total }}?",
    )
    fields: list[FormField] | None = Field(
        default=None, min_length=1, max_length=100, description="For `form`: what is asked for."
    )
    approvers: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="For `approval`: the ids of those who may decide; left out, everybody who may run the workflow.",
    )
    expires_after_seconds: float | None = Field(
        default=None,
        gt=0,
        le=SECONDS_MAX,
        description="For `webhook`, `form` and `approval`: without an answer by then, the items leave by the port "
        "`expired`, which there is only then. Left out, it waits until the execution is out of time.",
    )

    @model_validator(mode="after")
    def _mode_has_what_it_reads(self) -> Self:
        needed = NEEDED.get(self.mode)
        if needed is not None and getattr(self, needed) in (None, ""):
            raise ValueError(f"The mode `{self.mode}` needs `{needed}`.")
        for name, modes in READ_BY.items():
            if getattr(self, name) not in (None, "") and self.mode not in modes:
                raise ValueError(f"`{name}` is not for the mode `{self.mode}`, only for {' and '.join(modes)}.")
        names = [field.name for field in self.fields or ()]
        if len(names) != len(set(names)):
            raise ValueError("Two fields of the form have the same name.")
        return self


def wait_ports(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The output ports that raw, perhaps faulty parameters ask for."""
    answered = ("approved", "rejected") if params.get("mode") == "approval" else ("main",)
    return (*answered, EXPIRED_PORT) if params.get("expires_after_seconds") is not None else answered


def checked_answer(reason: WaitReason, ask: Mapping[str, Any], answer: Any) -> Any:
    """The answer to a wait in the shape that the items get, without `by`, which whoever takes the answer adds.

    `ask` is what the wait asked. An approval becomes {"approved": bool, "comment": str}, a form an object of its
    fields (those that were left out as null), anything else stays as it is. Raises AnswerInvalid.
    """
    if reason not in ("approval", "form"):
        return answer
    if not isinstance(answer, Mapping):
        raise AnswerInvalid(f"The answer must be an object, not {kind_of(answer)}.")
    return _checked_decision(answer) if reason == "approval" else _checked_form(ask, answer)


@node(
    "flow.wait",
    kind="control",
    params=WaitParams,
    outputs=wait_ports,
    examples=[
        Example(
            title="Wait for an hour",
            params={"mode": "duration", "seconds": 3600},
            given=[{"id": 1}],
            expect={"main": [{"id": 1}]},
        ),
        Example(
            title="Wait until the day before something is due",
            params={"mode": "date", "until": "{{ parse_datetime($json.due).minus(days=1) }}"},
            given=[{"id": 1, "due": "2030-03-01T08:00:00+00:00"}],
            expect={"main": [{"id": 1, "due": "2030-03-01T08:00:00+00:00"}]},
        ),
        Example(
            title="Let somebody approve a payment, within two days",
            params={"mode": "approval", "text": "Pay {{ $json.total }} EUR?", "expires_after_seconds": 172_800},
            given=[{"total": 900}],
            answered={"approved": True, "comment": "Fine.", "by": "key_anna"},
            expect={"approved": [{"total": 900, "answer": {"approved": True, "comment": "Fine.", "by": "key_anna"}}]},
        ),
        Example(
            title="Ask for what is missing, with a form",
            params={
                "mode": "form",
                "text": "Where shall order {{ $json.id }} go?",
                "fields": [
                    {"name": "street", "label": "Street and number", "required": True},
                    {"name": "floor", "label": "Floor", "type": "integer"},
                ],
            },
            given=[{"id": 7}],
            answered={"street": "Main Street 1", "floor": None},
            expect={"main": [{"id": 7, "answer": {"street": "Main Street 1", "floor": None}}]},
        ),
        Example(
            title="Wait for another system to call back; nobody did",
            params={"mode": "webhook", "expires_after_seconds": 600},
            given=[{"job": 7}],
            expect={"expired": [{"job": 7}]},
        ),
    ],
)
def wait(state: ControlState, event: ControlEvent) -> tuple[ControlState, Sequence[ControlCommand]]:
    """Hold all items until something happens, for as long as it takes; no process has to live meanwhile.

    `duration`, `date`, `webhook` and `form` let the items leave by `main`, `approval` by `approved` or `rejected`. The
    execution shows its open waits, each with the address that answers it: GET only shows what is asked, POST answers,
    once. An address works for 30 days, or as long as the server's `resume_link_seconds` says, however long the wait is:
    after that the execution shows a new one, or answer with `budflow wait answer`. The answer stands in the field
    `answer` of every item: what was sent for `webhook`, an object of the fields for `form`, and {"approved": …,
    "comment": …, "by": …} for `approval`. All items wait together, with parameters computed from the first: to wait
    for each one alone, put it into the body of a `flow.for_each`, with `concurrency` for as many as shall wait at once.
    """
    match event:
        case Begin(params=params):
            return {"mode": params.mode}, [_wait_for(params)]
        case WaitOver(wait=0) if state is not None:
            return None, [Settle(_outputs(state["mode"], event))]
    return state, []


def _wait_for(params: WaitParams) -> Wait:
    match params.mode:
        case "duration":
            return Wait(0, "timer", seconds=params.seconds)
        case "date":
            return Wait(0, "timer", until=params.until)
        case "webhook":
            return Wait(0, "webhook", params.expires_after_seconds, ask={"text": params.text})
        case "form":
            fields = [{**field.model_dump(), "label": field.label or field.name} for field in params.fields or ()]
            return Wait(0, "form", params.expires_after_seconds, ask={"text": params.text, "fields": fields})
        case "approval":
            ask = {"text": params.text, "approvers": params.approvers}
            return Wait(0, "approval", params.expires_after_seconds, ask=ask)


def _outputs(mode: Mode, over: WaitOver) -> Mapping[str, ItemsFrom]:
    if over.outcome == "elapsed":
        return {"main" if mode in ("duration", "date") else EXPIRED_PORT: FromInputs()}
    if mode != "approval":
        return {"main": FromAnswer(0, ANSWER_FIELD)}
    approved = isinstance(over.answer, Mapping) and over.answer.get("approved") is True
    return {"approved" if approved else "rejected": FromAnswer(0, ANSWER_FIELD)}


def _checked_decision(answer: Mapping[str, Any]) -> dict[str, Any]:
    approved, comment = answer.get("approved"), answer.get("comment") or ""
    if not isinstance(approved, bool):
        raise AnswerInvalid("`approved` must be true or false.")
    if not isinstance(comment, str) or len(comment) > COMMENT_CHARS_MAX:
        raise AnswerInvalid(f"`comment` must be a text of at most {COMMENT_CHARS_MAX:,} characters.")
    return {"approved": approved, "comment": comment}


def _checked_form(ask: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    known = [field["name"] for field in ask["fields"]]
    unknown = sorted(answer.keys() - set(known))
    if unknown:
        raise AnswerInvalid(f"The form has no field `{unknown[0][:80]}`; its fields are {', '.join(known)}.")
    values = {name: answer.get(name) for name in known}
    for field in ask["fields"]:
        name, wanted = field["name"], field["type"]
        value = values[name]
        if value is None or value == "":
            if field["required"]:
                raise AnswerInvalid(f"The field `{name}` is required.")
        elif not is_of_type(value, wanted):
            raise AnswerInvalid(f"The field `{name}` must be {WORDS[wanted]}, not {kind_of(value)}.")
    return values
