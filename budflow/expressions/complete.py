"""Completions: what may stand at a place in an expression, from the data that is there and the call table.

What stands before the dot is evaluated against real items: the fields are those that were seen, the methods those of
the value's own type.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from budflow.errors import BudflowError
from budflow.expressions.compile import evaluate_source
from budflow.expressions.declare import Function
from budflow.expressions.evaluate import NAMES, RESERVED_NAMES, Scope
from budflow.expressions.operations import TABLE
from budflow.expressions.tokenize import CLOSE, OPEN, SOURCES_MAX, ExpressionInvalid, read
from budflow.expressions.values import word_of

Kind = Literal["name", "node", "field", "method", "function"]

COMPLETIONS_MAX = 200
KEYS_READ_MAX = 1_000  # Of one value.
RECEIVER_CHARS_MAX = 2_000
QUOTED_KEY = re.compile(r"""(\??\.?)\[\s*(["'])([^"'\\\n]*)\Z""")
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
SURROGATE = re.compile("[\ud800-\udfff]")  # Half a character: no answer can hold it.
CLOSING = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Completion:
    """`insert` takes the place of the text from the completions' `start` up to the cursor."""

    label: str
    kind: Kind
    insert: str
    detail: str  # A signature, or the kind of the value.
    doc: str


@dataclass(frozen=True, slots=True)
class Completions:
    """What may stand at the cursor, in the order in which it is to be shown."""

    start: int
    found: tuple[Completion, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What completions are made from: a scope for each of a few items, and the keys that `$node` has."""

    scopes: Sequence[Scope]
    node_keys: Sequence[str]


def complete(text: str, offset: int, seen: Seen) -> Completions:
    """What may stand at `offset` of a text; nothing where that is outside of `{{ }}` in a text that has them."""
    begin = _begin(text, offset)
    if begin is None:
        return Completions(offset, ())
    code = text[begin:offset]
    if (quoted := QUOTED_KEY.search(code)) is not None and (receiver := _receiver(code[: quoted.start()])):
        start = offset - len(quoted[3])
        fields = _fields(_values(receiver, seen), receiver, seen)
        return _result(start, quoted[3], (_keyed(field, quoted[2]) for field in fields))
    word = code[_word_start(code, len(code)) :]
    before, start = code[: len(code) - len(word)], offset - len(word)
    if before.endswith("$"):
        return _result(start - 1, f"${word}", _names())
    if before.endswith("."):
        dots = 2 if before.endswith("?.") else 1
        receiver = _receiver(before[:-dots])
        return _members(receiver, word, offset, dots, seen) if receiver else Completions(start, ())
    if before[-1:].isdigit() or before.endswith(('"', "'")):
        return Completions(start, ())
    functions = (_callable(one, "function") for one in TABLE.functions.values())
    return _result(start, word, [*functions, *(_names() if not word else ())])


def _members(receiver: str, word: str, offset: int, dots: int, seen: Seen) -> Completions:
    """What may follow `receiver.`: keys that are no names are read by brackets, which take the dot's place."""
    start = offset - len(word)
    values = _values(receiver, seen)
    found: list[Completion] = []
    for field in _fields(values, receiver, seen):
        if IDENTIFIER.match(field.label):
            found.append(field)
        elif not word:
            optional = "?." if dots == 2 else ""
            insert = f'{optional}["{_escaped(field.label)}"]'
            found.append(Completion(field.label, field.kind, insert, field.detail, field.doc))
    methods: dict[str, Completion] = {}
    for value in values:
        for one in _methods(value):
            methods.setdefault(one.name, _callable(one, "method"))
    result = _result(start, word, [*found, *(methods[name] for name in sorted(methods))])
    if any(one.insert.startswith(("[", "?.[")) for one in result.found):  # All of them then replace the dot too.
        dotted = "." if dots == 1 else "?."
        whole = tuple(
            one
            if one.insert.startswith(("[", "?.["))
            else Completion(one.label, one.kind, f"{dotted}{one.insert}", one.detail, one.doc)
            for one in result.found
        )
        return Completions(start - dots, whole)
    return result


def _begin(text: str, offset: int) -> int | None:
    """Where the expression begins that holds the offset; a text without `{{` is one expression."""
    if OPEN not in text:
        return 0
    at = 0
    for _ in range(SOURCES_MAX):
        opened = text.find(OPEN, at)
        if not 0 <= opened <= offset - len(OPEN):
            break
        begin = opened + len(OPEN)
        try:
            source = read(text, opened)
            end = source.offset + len(source.text)
        except ExpressionInvalid:  # Which is no wonder while it is being written.
            end = text.find(CLOSE, begin)
        if end < 0 or offset <= end:
            return begin
        at = end
    return None


def _receiver(code: str) -> str:
    """The operand that a text of code ends with, such as `$json.rows[0].name`; empty where it ends with none."""
    at = len(code)
    limit = max(0, at - RECEIVER_CHARS_MAX)
    while at > limit:
        char = code[at - 1]
        if char in CLOSING:
            opened = _opening(code, at - 1, limit)
            if opened is None:
                return ""
            at = _name_start(code, opened)
        elif char in "\"'":
            opened = code.rfind(char, limit, at - 1)
            return "" if opened < 0 else code[opened:]
        else:
            begin = _name_start(code, at)
            if begin == at:
                return ""
            at = begin
        if code[at - 2 : at] == "?.":
            at -= 2
        elif code[at - 1 : at] == ".":
            at -= 1
        elif code[at - 1 : at] not in CLOSING or code[at : at + 1] not in "([":
            return code[at:]
    return ""


def _name_start(code: str, end: int) -> int:
    """Where the word begins that ends there, with its `$`; `end` where none does."""
    begin = _word_start(code, end)
    return begin - 1 if begin < end and code[begin - 1 : begin] == "$" else begin


def _word_start(code: str, end: int) -> int:
    """Where the word begins that ends there; `end` where none does. A pattern would look for it at every place."""
    begin = end
    while begin and (code[begin - 1] == "_" or code[begin - 1].isalnum()):
        begin -= 1
    while begin < end and not (code[begin] == "_" or (code[begin].isascii() and code[begin].isalpha())):
        begin += 1
    return begin


def _opening(code: str, at: int, limit: int) -> int | None:
    """Where the bracket opens that closes at `at`; strings between are passed over."""
    depth: list[str] = []
    while at >= limit:
        char = code[at]
        if char in "\"'":
            at = code.rfind(char, limit, at)
            if at < 0:
                return None
        elif char in CLOSING:
            depth.append(CLOSING[char])
        elif char in "([{":
            if not depth or depth.pop() != char:
                return None
            if not depth:
                return at
        at -= 1
    return None


def _values(receiver: str, seen: Seen) -> list[object]:
    """What the receiver is for the items that are known; what fails for one of them is left out."""
    found: list[object] = []
    for scope in seen.scopes:
        try:
            found.append(_value(receiver, scope))
        except (BudflowError, KeyError):
            continue
    return found


def _value(receiver: str, scope: Scope) -> object:
    if receiver == "$item":  # Is read by its keys only, so no expression gives the whole of it.
        return scope.names["item"]
    return evaluate_source(read(f"{OPEN}{receiver}{CLOSE}", 0), scope)


def _fields(values: Iterable[object], receiver: str, seen: Seen) -> list[Completion]:
    """The keys that the values have, each once, in the order in which they were seen."""
    if receiver == "$node":
        return [Completion(key, "node", key, "a node", "") for key in seen.node_keys]
    found: dict[str, Completion] = {}
    for value in values:
        if not isinstance(value, Mapping):
            continue
        for key in islice(value, KEYS_READ_MAX):
            if isinstance(key, str) and key not in found and not SURROGATE.search(key):
                found[key] = Completion(key, "field", key, _kind_of(value, key), "")
    return list(found.values())


def _kind_of(value: Mapping[object, object], key: str) -> str:
    if type(value) is not dict:
        return ""  # Asking a view what it has would load it.
    return word_of(value[key])


def _methods(value: object) -> Iterable[Function]:
    kind = dict if isinstance(value, Mapping) else type(value)
    return TABLE.methods.get(kind, {}).values()


def _callable(function: Function, kind: Kind) -> Completion:
    return Completion(function.name, kind, f"{function.name}(", function.usage, function.doc)


def _names() -> Iterable[Completion]:
    known = ((name, doc) for name, doc in NAMES.items() if name not in RESERVED_NAMES)
    return (Completion(f"${name}", "name", f"${name}", "", doc) for name, doc in known)


def _keyed(field: Completion, quote: str) -> Completion:
    insert = f"{_escaped(field.label, quote)}{quote}]"
    return Completion(field.label, field.kind, insert, field.detail, field.doc)


def _escaped(key: str, quote: str = '"') -> str:
    return key.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n")


def _result(start: int, word: str, found: Iterable[Completion]) -> Completions:
    """Those that begin with what is written; those with the same case first."""
    lower = word.lower()
    fitting = [one for one in found if one.label.lower().startswith(lower)]
    fitting.sort(key=lambda one: not one.label.startswith(word))
    return Completions(start, tuple(fitting[:COMPLETIONS_MAX]))
