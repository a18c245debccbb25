"""What a tool declares: the use case behind it, and what an agent is told of it. No MCP library in sight.

A tool file holds one `TOOL`. The server turns it into what the protocol wants, checks the arguments with its model,
calls it, and cuts an answer that is too long.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, get_type_hints

from pydantic import BaseModel

from budflow.model.principal import Principal
from budflow.services.use_case import NUMBER_MAX, Services, UseCase

#: How long an answer may be unless its arguments ask for more; larger ones fill an agent's context with little gain.
ANSWER_BYTES_MAX = 8 * 1024

#: What an agent is not told of an answer: what the tool's description says, and what is seen when the answer comes.
_LEFT_OUT = frozenset({"$defs", "description", "required"})

#: Keywords with a value that says no more than their absence would.
_EMPTY: Mapping[str, object] = {"additionalProperties": True, "default": None, "maximum": NUMBER_MAX}

#: Keywords of JSON Schema whose value is an object of schemas, not a schema.
_BY_NAME = frozenset({"properties", "$defs"})

Call: TypeAlias = Callable[[Services, Principal, Any], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A use case as an agent sees it. Make one with `Tool.of`.

    The four hints are MCP's annotations. `cut` names what may be shortened when an answer is too long, least
    important first: paths into the answer, parts joined by dots, `*` for each entry of a list or an object. With
    `whole` nothing of it is ever cut, since the agent is to send it back. `answers_as` names a tool that shows the
    same: an agent need not be told once more what its fields are.
    """

    name: str
    title: str
    description: str
    use_case: UseCase[Any, Any]
    arguments: type[BaseModel]
    answer: type[BaseModel]
    call: Call
    read_only: bool
    idempotent: bool
    destructive: bool
    open_world: bool
    cut: tuple[str, ...]
    whole: bool
    answers_as: str | None

    @staticmethod
    def of(
        use_case: UseCase[Any, Any],
        *,
        title: str,
        description: str,
        arguments: type[BaseModel] | None = None,
        call: Call | None = None,
        read_only: bool = False,
        idempotent: bool = False,
        destructive: bool = False,
        open_world: bool = False,
        cut: tuple[str, ...] = (),
        whole: bool = False,
        answers_as: str | None = None,
    ) -> "Tool":
        """A tool for a use case, which gives the name and both models.

        `arguments` replaces the request model, with other defaults for instance; `call` wraps the use case where an
        agent needs other words than the HTTP API, and then gives the name and the models.
        """
        run = call or use_case.run
        hints = get_type_hints(run)
        return Tool(
            name=run.__name__,
            title=title,
            description=description,
            use_case=use_case,
            arguments=arguments or hints["request"],
            answer=hints["return"],
            call=call or use_case,
            read_only=read_only,
            idempotent=idempotent or read_only,
            destructive=destructive,
            open_world=open_world,
            cut=cut,
            whole=whole,
            answers_as=answers_as,
        )

    @property
    def permission(self) -> str:
        """What a principal needs to call it; the use case checks it."""
        return self.use_case.permission

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments. What they are all together the tool's own description says."""
        schema = self.arguments.model_json_schema()
        return dict(_compact({key: part for key, part in schema.items() if key != "description"}))

    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of the answer, down to its fields: an agent sees what is inside them when it gets one, and would
        pay for a description of all that at every start.
        """
        schema = self.answer.model_json_schema(mode="serialization")
        slim = _without_models({key: part for key, part in schema.items() if key not in _LEFT_OUT})
        if self.answers_as is not None:
            for field in slim["properties"].values():
                field.pop("description", None)
        return dict(_compact(slim))


def _without_models(schema: Any) -> Any:
    """The schema with no more said of a model inside it, or of a map, than that it is an object, and of a time than
    that it is a string.
    """
    if isinstance(schema, list):
        return [_without_models(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"type": "object", **{key: part for key, part in schema.items() if key != "$ref"}}
    left_out = ("additionalProperties", "format") if isinstance(schema.get("type"), str | list) else ()
    return {key: _without_models(part) for key, part in schema.items() if key not in left_out}


def _compact(schema: Any) -> Any:
    """The same schema in fewer tokens: pydantic repeats names as titles, writes "or null" at length, and more that
    says nothing to an agent.
    """
    if isinstance(schema, list):
        return [_compact(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    slim = {
        key: {name: _compact(one) for name, one in value.items()} if key in _BY_NAME else _compact(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key in _EMPTY and value == _EMPTY[key])
    }
    match slim.get("anyOf"):
        case [{"type": str(kind), **rest}, {"type": "null"}] if "enum" not in rest:
            del slim["anyOf"]
            return {"type": [kind, "null"], **rest, **slim}
    return slim
