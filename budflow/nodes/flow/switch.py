"""flow.switch: send each item the way of the first case that holds for it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from budflow.model.node import ERROR_PORT, Batch, Example, Outputs, Params, Static, node

FALLBACK_PORT = "fallback"
CASES_MAX = 64


class Case(Params):
    """One way out and the items that take it."""

    port: Annotated[str, Static] = Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="Name of the output port, in lower case with underscores; edges name it as KEY.port.",
    )
    when: bool = Field(
        description="Asked of each item; usually an expression that is true or false, such as {{ $json.kind == 'a' }}."
    )


class SwitchParams(Params):
    """The ways out, in the order in which they are asked."""

    cases: list[Case] = Field(
        min_length=1, max_length=CASES_MAX, description="The cases, asked from the first to the last."
    )
    fallback: Annotated[Literal["drop", "port"], Static] = Field(
        default="drop",
        description="Where an item goes for which no case holds: nowhere (`drop`), or to the port `fallback` (`port`).",
    )
    all_matches: bool = Field(
        default=False, description="Send an item to every case that holds for it, rather than to the first only."
    )

    @field_validator("cases")
    @classmethod
    def _ports_are_distinct(cls, cases: list[Case]) -> list[Case]:
        names = [case.port for case in cases]
        if len(names) != len(set(names)):
            raise ValueError("Two cases have the same port; join their conditions with `or` instead.")
        for reserved in (FALLBACK_PORT, ERROR_PORT):
            if reserved in names:
                raise ValueError(f"The port name {reserved} is reserved; choose another.")
        return cases


def switch_ports(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The output ports that raw, perhaps faulty parameters name."""
    cases = params.get("cases")
    ports = [case.get("port") for case in cases if isinstance(case, Mapping)] if isinstance(cases, list | tuple) else []
    if params.get("fallback") == "port":
        ports.append(FALLBACK_PORT)
    return tuple(dict.fromkeys(port for port in ports if isinstance(port, str)))


@node(
    "flow.switch",
    kind="batch",
    params=SwitchParams,
    outputs=switch_ports,
    examples=[
        Example(
            title="Route tickets by priority",
            params={
                "cases": [
                    {"port": "urgent", "when": "{{ $json.priority >= 8 }}"},
                    {"port": "normal", "when": "{{ $json.priority >= 3 }}"},
                ],
                "fallback": "port",
            },
            given=[{"priority": 9}, {"priority": 5}, {"priority": 1}],
            expect={"urgent": [{"priority": 9}], "normal": [{"priority": 5}], "fallback": [{"priority": 1}]},
        ),
        Example(
            title="Tell everyone whom it concerns",
            params={
                "cases": [
                    {"port": "sales", "when": "{{ $json.total > 1000 }}"},
                    {"port": "abroad", "when": "{{ $json.country != 'DE' }}"},
                ],
                "all_matches": True,
            },
            given=[{"total": 5000, "country": "FR"}, {"total": 10, "country": "DE"}],
            expect={
                "sales": [{"total": 5000, "country": "FR"}],
                "abroad": [{"total": 5000, "country": "FR"}],
            },
        ),
    ],
)
def switch(batch: Batch[SwitchParams]) -> Outputs:
    """Send each item to the port of the first case that holds for it, of as many cases as you like.

    Each case names its own output port: connect with `{"from": "KEY.urgent", "to": …}`. Items for which no case holds
    are dropped, or leave by `fallback` when `fallback` is `port`. Every `when` is evaluated for every item, also
    after the first that holds. For a plain yes or no use `flow.if`.
    """
    outputs = Outputs()
    for index, params in batch.each():
        matches = [case.port for case in params.cases if case.when]
        for port in matches if params.all_matches else matches[:1]:
            outputs.pass_on(port, index)
        if not matches and params.fallback == "port":
            outputs.pass_on(FALLBACK_PORT, index)
    return outputs
