"""What an expression is tried against: a node of an execution as its journal has it, or data that the caller brings."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from budflow.errors import BudflowError
from budflow.execution.hindsight import Hindsight, look_back
from budflow.execution.lineage import NO_ITEMS_HINT, LineageAmbiguous, NodeView
from budflow.execution.names import Known, RunNames
from budflow.execution.ports import NOTHING_AROUND
from budflow.expressions.budget import SEED
from budflow.expressions.evaluate import NAMES, Scope
from budflow.model.execution import Execution, ExecutionNotFound
from budflow.model.identity import utc_now
from budflow.model.item import Item, ItemList, Json
from budflow.model.principal import Principal
from budflow.services.get_execution import find_node
from budflow.services.read_journal import plan_of_execution, read_journal
from budflow.services.use_case import RequestModel, Services
from budflow.services.views import ANSWERING

#: Journals that are longer are looked back at by nobody: their items would have to be in memory all at once.
EVENTS_MAX = 20_000
#: Who may write workflows may read these in any of them.
AUTHORING = "workflow:write"


class JournalTooLong(BudflowError):
    """The execution did too much for its items to be looked at all at once."""

    code = "expression.journal_too_long"
    http_status = 422
    hint = "Name a shorter execution of the workflow, or bring the data along in `data`."


class ContextMissing(BudflowError):
    """An expression is tried for a node of an execution: both must be named."""

    code = "expression.context_incomplete"
    http_status = 422
    hint = "Give `execution_id` and `node` together, or neither and `data`."


class ItemMissing(BudflowError):
    """There is no item at this index."""

    code = "expression.item_not_found"
    http_status = 422
    hint = "`item_index` counts from 0; without it, it is the first."


class SampleData(RequestModel):
    """Data in place of an execution's."""

    items: list[dict[str, Any]] = Field(default_factory=list, max_length=1_000, description="Data of the items.")
    nodes: dict[str, list[dict[str, Any]]] = Field(default_factory=dict, description="Data by node key.")
    names: dict[str, Any] = Field(default_factory=dict, description="Other names, such as `vars`.")


class ExpressionContext(RequestModel):
    """Where an expression is tried."""

    execution_id: str | None = Field(None, description="Whose items it sees; with `node`.")
    node: str | None = Field(None, description="Where it stands; `price[3]`: in one round.")
    item_index: int = Field(0, ge=0, description="Which item, from 0.")
    data: SampleData | None = Field(None, description="Instead of an execution's.")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The scopes of a place. `node_keys` are the nodes that `$node` can read."""

    names: RunNames
    items: Sequence[Item]
    node_keys: Sequence[str]

    def scope(self, index: int) -> Scope:
        """What is seen for an item; without any, for none."""
        return self.names.scope(index if index < len(self.items) else None)


async def context_of(services: Services, principal: Principal, request: ExpressionContext) -> Surroundings:
    """What the request names.

    Raises ContextMissing, ExecutionNotFound, NodeNotInExecution, JournalTooLong and ItemMissing.
    """
    place = await _place_of(services, principal, request)
    count = len(place.items)
    if 0 < count <= request.item_index:  # Without any, an expression can still be tried.
        raise ItemMissing(
            f"There {'is 1 item' if count == 1 else f'are {count:,} items'}: none at {request.item_index}."
        )
    return place


async def _place_of(services: Services, principal: Principal, request: ExpressionContext) -> Surroundings:
    around = services.supervisor.surroundings if AUTHORING in principal.permissions else NOTHING_AROUND
    if request.execution_id is None:
        if request.node is not None:
            raise ContextMissing
        return _sample(request.data or SampleData(), around)
    if request.node is None or request.data is not None:
        raise ContextMissing
    execution = await services.store.get_execution(principal.project_id, request.execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    return await _of_execution(services, principal, execution, request.node, around)


async def _of_execution(
    services: Services, principal: Principal, execution: Execution, path: str, around: Mapping[str, Mapping[str, Any]]
) -> Surroundings:
    plan = await plan_of_execution(services, execution)
    key, rounds = find_node(plan, path)
    events = await read_journal(services.store, execution, most=EVENTS_MAX)
    if len(events) >= EVENTS_MAX:
        raise JournalTooLong
    resume_url = services.links.of_execution(execution) if ANSWERING in principal.permissions else None
    open_list = partial(services.lists.open, principal.project_id)

    async def fold() -> Hindsight:
        return look_back(plan, execution, events, open_list=open_list, resume_url=resume_url, surroundings=around)

    # On an event loop of its own in a thread: a long journal shall not hold up the server's.
    back = await asyncio.to_thread(lambda: asyncio.run(fold()))
    opened = back.node(key, rounds, now=utc_now())
    return Surroundings(back.names(opened, frozenset(NAMES)), opened.items, back.nodes_seen(opened))


def _sample(data: SampleData, around: Mapping[str, Mapping[str, Any]]) -> Surroundings:
    items = [Item(json) for json in data.items]
    fixed: Json = {
        "now": utc_now().astimezone(ZoneInfo("UTC")),
        "run_index": 0,
        SEED: "sample",
        "workflow": {},
        "execution": {},
        **around,
        **{name: value for name, value in data.names.items() if name in NAMES and name != "secrets"},
    }
    if not isinstance(fixed["now"], datetime):
        fixed["now"] = _time(fixed["now"])
    given = {key: ItemList.of(values) for key, values in data.nodes.items()}
    known = Known()

    def nodes(ordinal: int | None) -> Mapping[str, NodeView]:
        return {key: _sample_view(key, values, ordinal or 0, known) for key, values in given.items()}

    names = RunNames(frozenset(NAMES), fixed, items, nodes=nodes, trigger=lambda: None)
    return Surroundings(names, items, sorted(given))


def _sample_view(key: str, items: ItemList, ordinal: int, known: Known) -> NodeView:
    """A node whose items were made into those that came in one by one, as far as there are as many."""

    def find() -> tuple[int, int]:
        if not len(items):
            raise LineageAmbiguous(f"`{key}` has no items in `data.nodes`.", hint=NO_ITEMS_HINT)
        return 0, ordinal if ordinal < len(items) else 0

    return NodeView(key, [items], find, params={}, known=known)


def _time(value: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        hint = "Write it as 2026-01-31T12:00:00+01:00."
        raise ContextMissing(f"`now` is no time: {str(value)[:50]}", hint=hint) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo("UTC"))
