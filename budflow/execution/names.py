"""The `$names` of one run of a node: what its expressions see, made when it is read and no earlier.

What all items share is made once a run; what differs from item to item (`$item`, `$node` …) only for nodes whose
expressions read it, as their plan knows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from budflow.expressions.evaluate import NAMES, Scope
from budflow.expressions.views import View
from budflow.model.item import Item, Json
from budflow.model.spilled import READ_ITEMS_MAX, ListTooLong, Spilled, all_json

#: Names that stand for something else from item to item.
OF_THE_ITEM = frozenset({"item", "binary", "input", "node", "trigger", "error"})
#: Names that are packed where a node runs in another process: there the others are made again.
PACKED = frozenset({"execution", "workflow", "batch", "vars", "env"})

#: Lists made for an expression, by node ("" for the input) and key: other items of the same run read them too.
Known = dict[tuple[str, str], list[Any]]
#: `$node` as an input item sees it, by its ordinal (None: no item).
NodesSeen = Callable[[int | None], Mapping[str, Any]]


class ItemView(View):
    """One item, as `$item` and `$input.first` have it."""

    __slots__ = ("_index", "_item")
    FIELDS = ("json", "index", "binary", "error")

    def __init__(self, item: Item, index: int) -> None:
        self._item, self._index = item, index

    def __getitem__(self, key: str) -> Any:
        match key:
            case "json":
                return self._item.json
            case "index":
                return self._index
            case "binary":
                return files_of(self._item)
            case "error":
                return error_of(self._item)
        raise KeyError(key)


class InputView(View):
    """`$input`: what came into the node. `ordinal` is that of the item that is evaluated."""

    __slots__ = ("_items", "_known", "_ordinal")
    FIELDS = ("first", "last", "all", "item", "items")

    def __init__(self, items: Sequence[Item], ordinal: int | None, known: Known) -> None:
        self._items, self._ordinal, self._known = items, ordinal, known

    def __getitem__(self, key: str) -> Any:
        match key:
            case "first":
                return view_at(self._items, 0)
            case "last":
                return view_at(self._items, len(self._items) - 1)
            case "all":
                return known_list(self._known, "", key, lambda: all_views(self._items))
            case "item":
                return None if self._ordinal is None else view_at(self._items, self._ordinal)
            case "items":
                return known_list(self._known, "", key, lambda: all_json(self._items))
        raise KeyError(key)


def known_list(known: Known, node: str, key: str, make: Callable[[], list[Any]]) -> list[Any]:
    """The list that was made before, or a new one. Raises what making it raises."""
    if (node, key) not in known:
        known[node, key] = make()
    return known[node, key]


def files_of(item: Item) -> Json:
    """`$binary` of an item: what is known of its files, not what is in them."""
    return {name: ref._asdict() for name, ref in item.binary.items()}


def error_of(item: Item) -> Json | None:
    """`$error` of an item."""
    return None if item.error is None else item.error.to_json()


def view_at(items: Sequence[Item], position: int) -> ItemView | None:
    """The item at this position; None where there is none."""
    return ItemView(items[position], position) if 0 <= position < len(items) else None


def all_views(items: Sequence[Item]) -> list[ItemView]:
    """Every item. Raises ListTooLong for very many that are not in memory."""
    if isinstance(items, Spilled) and len(items) > READ_ITEMS_MAX:
        raise ListTooLong(f"The list has {len(items):,} items; at most {READ_ITEMS_MAX:,} can be read at once.")
    return [ItemView(item, position) for position, item in enumerate(items)]


class RunNames:
    """Makes the scopes of one run of a node, whose expressions read the names in `wanted`.

    `fixed` is given as it is; it has at least `now`. `nodes` is what `$node` is for an item, `trigger` the key of the
    trigger that fired, `batch` what `$batch` is.
    """

    def __init__(
        self,
        wanted: frozenset[str],
        fixed: Mapping[str, Any],
        items: Sequence[Item],
        *,
        nodes: NodesSeen,
        trigger: Callable[[], str | None],
        batch: Callable[[], Any] | None = None,
    ) -> None:
        self.items, self.nodes, self.trigger, self.batch = items, nodes, trigger, batch
        self.known: Known = {}
        self._made: dict[object, object] = {}
        self.shared = _Shared(self, fixed)
        self._differs = not wanted.isdisjoint(OF_THE_ITEM)

    def scope(self, ordinal: int | None) -> Scope:
        """What the expressions see for an input item, by its ordinal (None: for none)."""
        names = _OfTheItem(self, ordinal) if self._differs else self.shared
        if ordinal is None:
            return Scope({}, 0, names)
        return Scope(self.items[ordinal].json, ordinal, names, self._made)


class _Shared(dict[str, Any]):
    """What is the same for every item of a run."""

    __slots__ = ("_run",)

    def __init__(self, run: RunNames, fixed: Mapping[str, Any]) -> None:
        super().__init__(fixed)
        self._run = run

    def __missing__(self, name: str) -> Any:
        value: Any
        if name == "today":
            value = cast("datetime", self["now"]).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        elif name == "items":
            value = all_json(self._run.items)
        elif name == "batch":
            value = batch_of(0, self._run.items) if self._run.batch is None else self._run.batch()
        else:
            raise KeyError(name)
        self[name] = value
        return value


class _OfTheItem(Mapping[str, Any]):
    """The names as one item sees them."""

    __slots__ = ("_ordinal", "_run")

    def __init__(self, run: RunNames, ordinal: int | None) -> None:
        self._run, self._ordinal = run, ordinal

    def __getitem__(self, name: str) -> Any:
        if name not in OF_THE_ITEM:
            return self._run.shared[name]
        run, ordinal = self._run, self._ordinal
        if name == "node":
            return run.nodes(ordinal)
        if name == "trigger":
            key = run.trigger()
            if key is None:
                raise KeyError(name)
            return run.nodes(ordinal)[key]
        if name == "input":
            return InputView(run.items, ordinal, run.known)
        if ordinal is None:
            if name == "error":
                return None
            raise KeyError(name)
        if name == "item":
            return ItemView(run.items[ordinal], ordinal)
        return files_of(run.items[ordinal]) if name == "binary" else error_of(run.items[ordinal])

    def __iter__(self) -> Iterator[str]:
        return (name for name in NAMES if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        if name in ("item", "binary"):
            return self._ordinal is not None
        if name == "trigger":
            return self._run.trigger() is not None
        return name in OF_THE_ITEM or name in self._run.shared or name in ("today", "items", "batch")


def batch_of(index: int, items: Sequence[Item]) -> Json:
    """`$batch`: the round, counted from 0, and what went into it."""
    return {"index": index, "size": len(items), "items": all_json(items)}
