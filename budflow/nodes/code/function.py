"""code.function: call a Python function of the author in the sandbox, once for each item."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from difflib import get_close_matches
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from budflow.expressions.tokenize import has_expression
from budflow.model.failure import NodeError
from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.code.sandboxed import Code, SandboxedParams, effect_of_code, refuse, run_calls
from budflow.nodes.code.signature import ENTRY, Signature, signature_of


class ArgumentsWrong(NodeError):
    """The arguments are not those that the function takes."""

    code = "code.arguments_wrong"
    http_status = 422
    hint = "Give `arguments` a value for each parameter of the function, by its name."


class _Call(Params):
    """The function, and what it is called with."""

    code: Code = Field(
        description="Python code that defines `def main(…)`, and whatever it needs around it. Annotations (`str`, "
        "`int`, `float`, `bool`, `list`, `dict`, `None` and unions of them) are checked. It is taken as it stands: "
        "`{{ }}` in it is no expression.",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="The value of each parameter of the function, by its name, worked out for each item.",
    )

    @field_validator("code")
    @classmethod
    def _defines_a_function(cls, code: str) -> str:
        try:
            signature_of(code)
        except NodeError as error:
            refuse(error)
        return code

    @field_validator("arguments")
    @classmethod
    def _fit(cls, arguments: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        code = info.data.get("code")
        wrong = [] if code is None else _misfits(signature_of(code), arguments)
        if wrong:
            refuse(ArgumentsWrong(" ".join(wrong)))
        return arguments


class FunctionParams(SandboxedParams, _Call):
    """The fields of the last base come first: the call, and then what it may use."""


def _misfits(signature: Signature, arguments: dict[str, Any]) -> list[str]:
    """Why the function cannot be called with these arguments; what an expression is to give is not known yet."""
    wrong: list[str] = []
    free = [name for name in signature.parameters if name not in arguments]
    for name, value in arguments.items():
        parameter = signature.parameters.get(name)
        if parameter is None and not signature.open:
            meant = get_close_matches(name, free, 1)
            advice = f" Did you mean `{meant[0]}`?" if meant else ""
            wrong.append(f"`{ENTRY}` has no parameter `{name[:80]}`.{advice}")
        elif parameter is not None and not (isinstance(value, str) and has_expression(value)):
            wrong += filter(None, [parameter.refuses(value)])
    wrong += [f"`{ENTRY}` needs `{name}`." for name in free if signature.parameters[name].required]
    return wrong


@node(
    "code.function",
    kind="list",
    params=FunctionParams,
    effect=effect_of_code,
    sandboxed=True,
    examples=[
        Example(
            title="A price with tax",
            params={
                "code": "def main(net: float, vat: float = 0.19):\n    return {'gross': round(net * (1 + vat), 2)}",
                "arguments": {"net": "{{ $json.price }}"},
            },
            given=[{"price": 10}, {"price": 5}],
            expect={"main": [{"gross": 11.9}, {"gross": 5.95}]},
        ),
        Example(
            title="A value that is no object becomes the field `value`",
            params={
                "code": "import re\n\ndef main(text: str) -> int:\n    return len(re.findall(r'\\w+', text))",
                "arguments": {"text": "{{ $json.title }}"},
            },
            given=[{"title": "Nothing reaches the host"}],
            expect={"main": [{"value": 4}]},
        ),
    ],
)
async def call_function(batch: Batch[FunctionParams]) -> AsyncGenerator[Outputs, None]:
    """Call a Python function in the sandbox, once for each item; what it returns leaves by `main`.

    The function gets `arguments` by name. A dict that it returns is the new item; any other value becomes its field
    `value`. An item whose arguments or call fail counts as failed, and the others go on. The sandbox is that of
    `code.python`, with the same limits, which up to 10,000 calls share.
    """
    async with aclosing(run_calls(batch, "function", lambda _, params: (params.code, params.arguments))) as parts:
        async for outputs in parts:
            yield outputs
