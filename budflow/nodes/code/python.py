"""code.python: run Python code of the author in the sandbox, over all items together or item by item."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import Field

from budflow.model.node import Batch, Example, Outputs, Params, Static, node
from budflow.nodes.code.sandboxed import Code, SandboxedParams, effect_of_code, run_code, task_of


class _Code(Params):
    """The code, and what it sees besides the items."""

    mode: Annotated[Literal["all", "each"], Static] = Field(
        default="all",
        description="`all`: the code runs once and sees the list `items`. `each`: it runs once for each item and sees "
        "`item` and `index`; where it fails, only that item fails.",
    )
    code: Code = Field(
        description="Python code, the body of a function: `return` a dict or a list of dicts, each becomes an item. It "
        "is taken as it stands: `{{ }}` in it is no expression. What it needs besides the items, give it by `params`.",
    )
    params: dict[str, Any] = Field(
        default_factory=dict,
        description="Values that the code sees as `params`, worked out once with the first item: "
        '`{"limit": "{{ $node.config.json.limit }}"}` is `params["limit"]`.',
    )


class PythonParams(SandboxedParams, _Code):
    """The fields of the last base come first: the code, and then what it may use."""


@node(
    "code.python",
    kind="list",
    params=PythonParams,
    effect=effect_of_code,
    sandboxed=True,
    examples=[
        Example(
            title="The total of all orders",
            params={"code": "return {'orders': len(items), 'total': sum(item['price'] for item in items)}"},
            given=[{"price": 20}, {"price": 5}],
            expect={"main": [{"orders": 2, "total": 25}]},
        ),
        Example(
            title="Item by item, with a value from outside",
            params={
                "mode": "each",
                "code": "gross = round(item['net'] * (1 + params['vat']), 2)\nreturn {**item, 'gross': gross}",
                "params": {"vat": "{{ $json.vat }}"},
            },
            given=[{"net": 10, "vat": 0.19}, {"net": 5, "vat": 0.19}],
            expect={"main": [{"net": 10, "vat": 0.19, "gross": 11.9}, {"net": 5, "vat": 0.19, "gross": 5.95}]},
        ),
    ],
)
async def run_python(batch: Batch[PythonParams]) -> AsyncGenerator[Outputs, None]:
    """Run Python code in the sandbox; what it returns leaves by `main`.

    The code runs in a process of its own with nothing around it: no files of the server, no network but the hosts in
    `network`, no secrets, and no more time and memory than it is given. It returns a dict, a list of dicts, or None for
    no item; it may also `yield` them. What it prints goes to the log of the execution. With `retry`, code whose sandbox
    worker was lost runs again; an error of the code itself does not. Files that items carry are not passed to it.
    """
    params = batch.params
    task = task_of(batch, params, params.mode, params.code, batch.items, params.params)
    async with aclosing(run_code(batch, task, range(len(batch.items)))) as parts:
        async for outputs in parts:
            yield outputs
