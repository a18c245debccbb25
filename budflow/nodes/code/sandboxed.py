"""What code nodes share: the parameters that say what the code may use, and its run in the sandbox of the project."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from budflow.errors import BudflowError
from budflow.model.failure import NodeError
from budflow.model.item import Item, Json
from budflow.model.log import LogCapability
from budflow.model.node import PART_ITEMS, Batch, Outputs, Params, Static, Verbatim
from budflow.model.sandbox import CodeMode, CodePart, CodeResultMalformed, CodeTask
from budflow.model.workflow import Effect
from budflow.nodes.code.signature import check_syntax

CODE_CHARS_MAX = 128 * 1024
NAME_CHARS_MAX = 200
REQUIREMENTS_MAX = 50
HOSTS_MAX = 50
#: So many calls are one task of the sandbox, whose time and memory they share.
CALLS_MAX = 10_000
#: After so many items whose parameters were worked out others have their turn.
PAUSE_ITEMS = 200

#: A requirement of pip by name and versions (PEP 508 without addresses, paths and options).
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_BOUND = r"(?:==|>=|<=|!=|~=|<|>) *[A-Za-z0-9.*+!_-]+"
_REQUIREMENT = re.compile(rf"{_NAME}(?:\[{_NAME}(?: *, *{_NAME})*\])? *(?:{_BOUND}(?: *, *{_BOUND})*)?")
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?")


def refuse(error: NodeError) -> NoReturn:
    """Have pydantic, and so the validator, say what the error says, under its code."""
    context = {"reason": error.message, "hint": error.hint, **error.details}
    raise PydanticCustomError(error.code, "{reason}", context) from error


def _readable(code: str) -> str:
    try:
        check_syntax(code)
    except NodeError as error:
        refuse(error)
    return code


Code = Annotated[str, Verbatim, StringConstraints(min_length=1, max_length=CODE_CHARS_MAX), AfterValidator(_readable)]


def _is_requirement(text: str) -> str:
    if not _REQUIREMENT.fullmatch(text):
        raise ValueError(f"`{text}` is no name of a package with versions, such as `polars>=1.9,<2`")
    return text


def _is_host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError(f"`{text}` is no host such as `api.example.com` or `*.example.com:8443`, in lower case")
    return text


Requirement = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_is_requirement)]
Host = Annotated[str, StringConstraints(max_length=260), AfterValidator(_is_host)]


class SandboxedParams(Params):
    """What the code may use."""

    requirements: Annotated[list[Requirement], Static] = Field(
        default_factory=list,
        max_length=REQUIREMENTS_MAX,
        description="Packages that the code imports, as pip names them: `polars>=1.9,<2`. Only wheels are installed, "
        "once for all that ask for the same. Without Docker there are none.",
    )
    timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="How long the code may take, from when the sandbox has room for it; the server's setting "
        "`sandbox_timeout_seconds_max` is the most.",
    )
    memory_mb: int = Field(
        default=256,
        ge=32,
        le=1024 * 1024,
        description="How much memory the code may use, in MiB, Python itself included; the server's setting "
        "`sandbox_memory_mb_max` is the most.",
    )
    network: Annotated[Literal["none"] | list[Host], Static] = Field(
        default="none",
        description="`none`, or a list of the hosts that the code may reach by HTTP: `api.example.com`, "
        "`*.example.com:8443`. With any, the node counts as one whose effect may not be repeated.",
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that the code may reach."""
        return () if self.network == "none" else tuple(self.network)


P = TypeVar("P", bound=SandboxedParams)


def effect_of_code(params: SandboxedParams) -> Effect:
    """Code without a network can do nothing to the world; nobody knows what other code does."""
    return "once" if params.hosts else "pure"


def task_of(
    batch: Batch[Any],
    params: SandboxedParams,
    mode: CodeMode,
    code: str,
    items: Sequence[Item],
    given: Mapping[str, Any] | None = None,
    *,
    seed: str = "",
) -> CodeTask:
    """The task that has the sandbox run this code over these items."""
    return CodeTask(
        mode=mode,
        code=code,
        items=items,
        now=batch.now,
        seed=f"{batch.key}{seed}",
        name=batch.name[:NAME_CHARS_MAX],
        params=given or {},
        requirements=tuple(params.requirements),
        network=params.hosts,
        timeout_seconds=params.timeout_seconds,
        memory_mb=params.memory_mb,
    )


async def run_code(batch: Batch[Any], task: CodeTask, ordinals: Sequence[int]) -> AsyncGenerator[Outputs, None]:
    """What the code gives, part after part; `ordinals` are the places of the task's items in the node's.

    What an item carries beside its JSON goes on with what was made of it.
    """
    async with aclosing(batch.sandbox.run(task, _Renumbered(batch.log, ordinals))) as parts:
        async for part in parts:
            if batch.spilled:  # Its sources may have to be read again.
                yield await asyncio.to_thread(_outputs, batch.items, part, ordinals)
            else:
                yield _outputs(batch.items, part, ordinals)


async def run_calls(
    batch: Batch[P], mode: CodeMode, call_of: Callable[[int, P], tuple[str, Json]]
) -> AsyncGenerator[Outputs, None]:
    """The same of code that runs once for each item: `call_of` an ordinal and its parameters gives it, and its item.

    An item whose parameters fail counts as failed, and the others go on.
    """
    size = PART_ITEMS if batch.spilled else CALLS_MAX  # Of items that are not in memory some are at hand.
    for start in range(0, len(batch.items), size):
        unfit = Outputs()
        calls: list[Item] = []
        ordinals: list[int] = []
        code, params = "", None
        for index in range(start, min(start + size, len(batch.items))):
            try:
                params = batch.resolve(index)
                code, item = call_of(index, params)
            except BudflowError as error:
                unfit.fail(index, error)
                continue
            calls.append(Item(item))
            ordinals.append(index)
            if index % PAUSE_ITEMS == PAUSE_ITEMS - 1:
                await asyncio.sleep(0)
        if unfit.failed:
            yield unfit
        if params is None:
            continue
        task = task_of(batch, params, mode, code, calls, seed=f"/{start}")
        async with aclosing(run_code(batch, task, ordinals)) as parts:
            async for outputs in parts:
                yield outputs


def _outputs(items: Sequence[Item], part: CodePart, ordinals: Sequence[int]) -> Outputs:
    outputs = Outputs()
    count = len(ordinals)
    for json, source in part.items:
        if not -1 <= source < count:
            raise CodeResultMalformed(f"The sandbox gave an item made from item {source}, of {count:,}.")
        if source < 0:
            outputs.emit("main", json)
        else:
            origin = items[ordinals[source]]
            outputs.emit("main", Item(json, origin.binary, origin.error), ordinals[source])
    for index, error in part.failed.items():
        if not 0 <= index < count:
            raise CodeResultMalformed(f"The sandbox says that item {index} failed, of {count:,}.")
        outputs.fail(ordinals[index], error)
    return outputs


class _Renumbered:
    """Meets LogCapability: of the task's items it makes those of the node."""

    __slots__ = ("_log", "_ordinals")

    def __init__(self, log: LogCapability, ordinals: Sequence[int]) -> None:
        self._log, self._ordinals = log, ordinals

    def debug(self, message: str, /, **fields: Any) -> None:
        """See LogCapability, as for the others."""
        self._log.debug(message, **fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """What happened."""
        self._log.info(message, **fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """What may be wrong."""
        self._log.warning(message, **fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """What is wrong."""
        self._log.error(message, **fields)

    def for_item(self, index: int) -> LogCapability:
        """Lines about one item."""
        return self._log.for_item(self._ordinals[index]) if 0 <= index < len(self._ordinals) else self._log
