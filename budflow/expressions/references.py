"""What an expression refers to, known before it is evaluated: its `$names`, and the nodes and secrets it reads."""

import ast

from budflow.expressions import foreign
from budflow.expressions.evaluate import NAMES, RESERVED_NAMES
from budflow.expressions.seal import Refused
from budflow.expressions.suggest import did_you_mean
from budflow.expressions.table import table
from budflow.expressions.tokenize import DOLLAR, attribute_name

KEYED_NAMES = frozenset({"node", "secrets"})  # Read by constant keys only, so that what they reach is known beforehand.


def references_of(tree: ast.Expression) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The `$names`, the keys of `$node` and those of `$secrets`; refuses unknown names, and the two without such a key.

    A key must be constant. Raises Refused.
    """
    names: set[str] = set()
    keys: dict[str, set[str]] = {f"{DOLLAR}{name}": set() for name in KEYED_NAMES}
    read_by_key: set[int] = set()
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):  # Outer nodes come first, so a read by key is seen before its name.
        found = None if id(node) in called else _key_read(node)
        if found is not None:
            target, name = found
            read_by_key.add(id(target))
            if target.id in keys:
                keys[target.id].add(name)
        if isinstance(node, ast.Name) and node.id.startswith(DOLLAR):
            name = node.id[len(DOLLAR) :]
            if name not in NAMES and name not in RESERVED_NAMES:
                raise Refused(node, f"There is no ${name}.", _advice_on(name))
            if name in KEYED_NAMES and id(node) not in read_by_key:
                raise Refused(node, f"${name} must be read by a constant key.", f'Write ${name}.key or ${name}["key"].')
            if name == "item" and id(node) not in read_by_key:  # It was the index once, of which some may still think.
                hint = "Its index is $item_index, its data $item.json or $json."
                raise Refused(node, "$item is the item, and is read by a key.", hint)
            names.add(name)
    return frozenset(names), frozenset(keys[f"{DOLLAR}node"]), frozenset(keys[f"{DOLLAR}secrets"])


def _advice_on(name: str) -> str:
    """What to write instead of a `$name` that there is not."""
    if name in table().functions:
        return f"Write {name}(…), without the $."
    near = did_you_mean(f"${name}", [f"${known}" for known in NAMES])
    return foreign.NAMES.get(name) or f"{near} A node is read as $node.KEY."


def _key_read(node: ast.AST) -> tuple[ast.Name, str] | None:
    """The name and the key in `$name.key`, `$name["key"]`, `$name?.key` or `$name?.["key"]`."""
    if isinstance(node, ast.Attribute):
        key_name, target = attribute_name(node.attr)[0], node.value
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and type(node.slice.value) is str:
        key_name, target = node.slice.value, node.value
        if isinstance(target, ast.Attribute) and attribute_name(target.attr) == ("", True):
            target = target.value
    else:
        return None
    return (target, key_name) if key_name and isinstance(target, ast.Name) else None
