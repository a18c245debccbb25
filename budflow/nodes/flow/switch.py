"""flow.switch: send each item the way of the first case that holds for it, or the way that an expression names."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from budflow.model.node import ERROR_PORT, Batch, Example, Outputs, Params, Static, node

FALLBACK_PORT = "fallback"
CASES_MAX = 64
PORT_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
PortName = Annotated[str, StringConstraints(pattern=PORT_PATTERN)]


class Case(Params):
    """One way out and the items that take it."""

    port: Annotated[str, Static] = Field(
        pattern=PORT_PATTERN,
        description="Name of the output port, in lower case with underscores; edges name it as KEY.port.",
    )
    when: bool = Field(
        description="Asked of each item; usually an expression that is true or false, such as {{ $json.kind == 'a' }}."
    )


class SwitchParams(Params):
    """The ways out: cases in the order in which they are asked, or ports of which an expression names one."""

    cases: list[Case] = Field(
        default_factory=list,
        max_length=CASES_MAX,
        description="The cases, asked from the first to the last. Not together with `route`.",
    )
    route: Annotated[str, Field(coerce_numbers_to_str=True)] | None = Field(
        default=None,
        description="Instead of `cases`: the name of the port that the item takes, one of `ports`; an expression, such "
        "as {{ $json.kind }}. Null, numbers and names of no port lead where `fallback` says.",
    )
    ports: Annotated[list[PortName], Static] = Field(
        default_factory=list,
        max_length=CASES_MAX,
        description="For `route`: the names of all output ports, in lower case with underscores.",
    )
    fallback: Annotated[Literal["drop", "port"], Static] = Field(
        default="drop",
        description="Where an item goes that no case and no port is for: nowhere (`drop`), or to the port `fallback` "
        "(`port`).",
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
        _check_free(names)
        return cases

    @field_validator("ports")
    @classmethod
    def _each_port_once(cls, ports: list[str]) -> list[str]:
        if len(ports) != len(set(ports)):
            raise ValueError("Each port may stand only once.")
        _check_free(ports)
        return ports

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        by_route = "route" in self.model_fields_set  # Its value may well be null for an item.
        if by_route == bool(self.cases):
            raise ValueError("Give either `cases`, or `route` with `ports`.")
        if by_route != bool(self.ports):
            raise ValueError("`route` needs `ports`, the names that it may give, and only `route` does.")
        return self

    @property
    def matches(self) -> list[str]:
        """The ports that are for the item, in their order."""
        if self.ports:
            return [self.route] if self.route in self.ports else []
        return [case.port for case in self.cases if case.when]


def _check_free(names: list[str]) -> None:
    for reserved in (FALLBACK_PORT, ERROR_PORT):
        if reserved in names:
            raise ValueError(f"The port name {reserved} is reserved; choose another.")


def switch_ports(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The output ports that raw, perhaps faulty parameters name."""
    cases, named = params.get("cases"), params.get("ports")
    ports = [case.get("port") for case in cases if isinstance(case, Mapping)] if isinstance(cases, list | tuple) else []
    ports += named if isinstance(named, list | tuple) else []
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
        Example(
            title="Route by what a field says",
            params={"route": "{{ $json.kind }}", "ports": ["invoice", "order"], "fallback": "port"},
            given=[{"kind": "order"}, {"kind": "invoice"}, {"kind": "letter"}],
            expect={"invoice": [{"kind": "invoice"}], "order": [{"kind": "order"}], "fallback": [{"kind": "letter"}]},
        ),
    ],
)
def switch(batch: Batch[SwitchParams]) -> Outputs:
    """Send each item to the port of the first case that holds for it, of as many cases as you like.

    Each case names its own output port: connect with `{"from": "KEY.urgent", "to": …}`. Where a field already says
    where an item belongs, give an expression as `route` and all names that it may have as `ports`, instead of `cases`.
    Items that no case and no port is for are dropped, or leave by `fallback` when `fallback` is `port`. Every `when`
    is evaluated for every item, also after the first that holds. For a plain yes or no use `flow.if`.
    """
    outputs = Outputs()
    for index, params in batch.each():
        matches = params.matches
        for port in matches if params.all_matches else matches[:1]:
            outputs.pass_on(port, index)
        if not matches and params.fallback == "port":
            outputs.pass_on(FALLBACK_PORT, index)
    return outputs
