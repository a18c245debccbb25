"""The items that a control node's commands speak of: its own, parts of them, and what its bodies and calls gave."""

from collections.abc import Iterable
from operator import itemgetter

from budflow.execution.collected import Which
from budflow.execution.node_result import ResultMalformed
from budflow.execution.open_node import Body, OpenControl
from budflow.model import control as n
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemError, ItemList
from budflow.model.joined import gathered, made_from, part_of, with_error
from budflow.model.spilled import all_json

#: So few items of a list in blobs are read as they enter a body; more are only referred to until their turn comes.
FEW_ITEMS = 16


def items_from(control: OpenControl, source: n.ItemsFrom) -> ItemList:
    """The items, each with the ordinal of the input item it was made from. Raises ResultMalformed for unknown ones."""
    fed = control.fed
    match source:
        case n.FromInputs():
            return fed
        case n.FromItems(start, stop):
            if stop - start > FEW_ITEMS:
                return part_of(fed, start, stop)
            return ItemList(fed.items[start:stop], fed.lineage[start:stop])
        case n.FromBody(body, number):
            out = _body(control, body, number).out
            return out if out is not None else ItemList()
        case n.FromRounds(body, failed):
            return _of_rounds(control, body, "both" if failed else "gave")
        case n.FromFailedRounds(body):
            return _of_rounds(control, body, "failed")
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


def of_round(body: Body, which: Which) -> ItemList | None:
    """What is asked for of one round; None where there is no such thing."""
    if body.failure is None:
        return None if which == "failed" else body.out
    return None if which == "gave" else _failed(body.entry, body.failure)


def _of_rounds(control: OpenControl, body: str, which: Which) -> ItemList:
    pieces = [(one.first, one.of(which)) for one in control.collected.get(body, ())]
    pieces.extend(
        (number, items)
        for (name, number), one in control.bodies.items()
        if name == body and (items := of_round(one, which)) is not None
    )
    return gathered(items for _, items in sorted(pieces, key=itemgetter(0)))


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
