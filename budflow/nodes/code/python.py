"""code.python: run Python code of the author in the sandbox, over all items together or item by item."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any, Literal

from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.item import Json
from budflow.model.node import Batch, Example, Outputs, Params, Static, node
from budflow.nodes.code.sandboxed import Code, SandboxedParams, effect_of_code, run_calls, run_code, task_of


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
        description="Values that the code sees as `params`, worked out for each item in the mode `each`, else with "
        'the first: `{"limit": "{{ $node.config.json.limit }}"}` is `params["limit"]`.',
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
            title="Item by item, with a value of its own",
            params={
                "mode": "each",
                "code": "gross = round(item['net'] * (1 + params['vat']), 2)\nreturn {**item, 'gross': gross}",
                "params": {"vat": "{{ $json.vat }}"},
            },
            given=[{"net": 10, "vat": 0.19}, {"net": 5, "vat": 0.07}],
            expect={"main": [{"net": 10, "vat": 0.19, "gross": 11.9}, {"net": 5, "vat": 0.07, "gross": 5.35}]},
        ),
    ],
)
async def run_python(batch: Batch[PythonParams]) -> AsyncGenerator[Outputs, None]:
    """Run Python code in the sandbox; what it returns leaves by `main`.

    The code runs in a process of its own with nothing around it: no files of the server, no network but the hosts in
    `network`, no secrets, and no more time and memory than it is given. It returns a dict, a list of dicts, or None for
    no item; it may also `yield` them. What it prints goes to the log of the execution. With `retry`, code whose sandbox
    worker was lost runs again; an error of the code itself does not. It does not see the files that items carry; they
    go on with an item that was made of theirs, in the mode `each`, or is theirs, in the mode `all`.
    """
    if _mode(batch) == "each" and not _are_of_all(batch):
        given = run_calls(batch, "each_with", lambda index, params: (params.code, _names(batch, index, params)))
    else:
        params = batch.params
        task = task_of(batch, params, params.mode, params.code, batch.items, params.params)
        given = run_code(batch, task, range(len(batch.items)))
    async with aclosing(given) as parts:
        async for outputs in parts:
            yield outputs


def _mode(batch: Batch[PythonParams]) -> str:
    """It is the same for every item, but the parameters of some may not come out at all."""
    for index in range(len(batch.items)):
        with suppress(BudflowError):
            return batch.resolve(index).mode
    return batch.params.mode


def _are_of_all(batch: Batch[PythonParams]) -> bool:
    """Whether the parameters do not depend on the item: they are then made only once."""
    with suppress(BudflowError):
        return len(batch.items) < 2 or batch.resolve(0) is batch.resolve(1)
    return False


def _names(batch: Batch[PythonParams], index: int, params: PythonParams) -> Json:
    return {"item": batch.items[index].json, "index": index, "params": params.params}
