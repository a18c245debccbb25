"""The items that a control node's commands speak of: its own, parts of them, and what its bodies and calls gave."""

from collections.abc import Iterable

from budflow.execution.node_result import ResultMalformed
from budflow.execution.open_node import Body, OpenControl
from budflow.model import control as n
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemError, ItemList
from budflow.model.spilled import all_json, gathered, made_from, with_error


def items_from(control: OpenControl, source: n.ItemsFrom) -> ItemList:
    """The items, each with the ordinal of the input item it was made from. Raises ResultMalformed for unknown ones."""
    fed = control.fed
    match source:
        case n.FromInputs():
            return fed
        case n.FromItems(start, stop):
            return ItemList(fed.items[start:stop], fed.lineage[start:stop])
        case n.FromBody(body, number):
            out = _body(control, body, number).out
            return out if out is not None else ItemList()
        case n.FromRounds(body, failed):
            rounds = _rounds(control, body)
            return gathered(_some(_entered_or_gave(one) if failed else one.out for one in rounds))
        case n.FromFailedRounds(body):
            return gathered(_some(_entered_or_gave(one) for one in _rounds(control, body) if one.failure is not None))
        case n.FromBodies(bodies):
            return gathered(_some(_body(control, body, 0).out for body in bodies))
        case n.FromCall(number):
            if number not in control.calls:
                raise ResultMalformed(f"A call {number} has not ended.")
            return _of_call(control, number)
        case n.FromCalls():
            return gathered(_of_call(control, number) for number in sorted(control.calls))
        case n.FromFailure(failure):
            return _failed(fed, failure)
        case n.FromAnswer(wait, name):
            answer = control.answers.get(wait)
            if not fed.items:
                return ItemList([Item({name: answer})], [-1])
            values = all_json(fed.items)
            items = [item._replace(json={**json, name: answer}) for item, json in zip(fed.items, values, strict=True)]
            return ItemList(items, fed.lineage)


def _body(control: OpenControl, body: str, number: int) -> Body:
    found = control.bodies.get((body, number))
    if found is None:
        raise ResultMalformed(f"A round {number} of the body `{body}` is not kept.")
    return found


def _rounds(control: OpenControl, body: str) -> list[Body]:
    return [control.bodies[key] for key in sorted(key for key in control.bodies if key[0] == body)]


def _entered_or_gave(body: Body) -> ItemList | None:
    return body.out if body.failure is None else _failed(body.entry, body.failure)


def _of_call(control: OpenControl, number: int) -> ItemList:
    """A call's result; what one item was sent for was made from it."""
    sent = control.sources.get(number)
    source = sent.lineage[0] if sent is not None and len(sent) == 1 else -1
    return made_from(control.calls[number], source)


def _failed(items: ItemList, failure: Failure) -> ItemList:
    error = ItemError(failure.code, failure.message, failure.hint, failure.node or "")
    if not items.items:
        return ItemList([Item({}, error=error)], [-1])
    return with_error(items, error)


def _some(lists: Iterable[ItemList | None]) -> Iterable[ItemList]:
    return (part for part in lists if part is not None)
