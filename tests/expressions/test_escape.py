"""No expression reaches Python itself, and none takes long or grows large: every attempt is refused, and soon."""

import sys
import time
from collections.abc import Iterator

import pytest

from budflow.expressions.compile import compile_template
from budflow.expressions.evaluate import ExpressionFailed, Scope
from budflow.expressions.tokenize import ExpressionInvalid
from tests.expressions.conftest import Evaluate

SECONDS_MAX = 5  # Far above what any takes; a bomb that is not stopped takes minutes.

ESCAPES = [
    # Walks along dunders, in every spelling.
    "''.__class__",
    "().__class__.__bases__[0].__subclasses__()",
    "$json.__class__",
    "$json.__init__.__globals__",
    "$now.__class__",
    "$__class__",
    "$json?.__class__",
    "$json.\uff3f\uff3fclass\uff3f\uff3f",
    "$json.__cl\u0430ss__",
    "''.\uff3f_class_\uff3f()",
    "''['__class__']",
    "[]['__class__']",
    "(1)['__class__']",
    "$now['__class__']",
    "$json['__class__']",
    "$json.name['__class__']",
    "''.__len__()",
    "len.__self__",
    "len.__call__('a')",
    "[].append.__self__",
    "(lambda: 0).__globals__",
    "_",
    "__builtins__",
    "__import__('os')",
    "__builtins__['eval']('1')",
    "_scope",
    "_scope.names",
    "_budget",
    "_getattr_('', '__class__')",
    "_getitem_",
    "_call_",
    "\u01c3json",
    "$json.\u01c2name",
    "$json.\u01c0name",
    "HOOKS",
    "TABLE",
    # What builtins would give.
    "getattr('', '__class__')",
    "setattr($json, 'a', 1)",
    "eval('1')",
    "exec('1')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd')",
    "vars()",
    "globals()",
    "locals()",
    "dir($json)",
    "type($json)",
    "type('X', (), {})",
    "object()",
    "super()",
    "print(1)",
    "print",
    "printed",
    "breakpoint()",
    "input()",
    "help()",
    "memoryview('a')",
    "iter([1])",
    "next([1])",
    "map(str, [1])",
    "filter(None, [1])",
    "id($json)",
    "hash('a')",
    "isinstance(1, int)",
    "import os",
    "from os import *",
    # Functions and other objects as values.
    "len",
    "[len]",
    "[len][0]('a')",
    "{'f': len}",
    "(len or str)('a')",
    "(len if 1 else str)('a')",
    "len if 1 else 2",
    "sorted([1], key=len)",
    "max([1], key=len)",
    "$json.name.upper",
    "[$json.name.upper]",
    "$json.get",
    "$vars.broken",
    "$vars.broken('x')",
    "$vars.broken.__self__",
    "[x for x in [$vars.broken]]",
    "str($vars.broken)",
    "f'{$vars.broken}'",
    "$vars.values()",
    "$vars.values()[0]",
    "$vars.items().first()",
    # Formatting that walks attributes.
    "'{0.__class__}'.format($json)",
    "'{a.__class__}'.format_map({'a': 1})",
    "'%(a)s' % {'a': 1}",
    "f'{$json.__class__}'",
    "f'{$json!r:{$json.__class__}}'",
    "f'{().__class__}'",
    "f'{$json=}'",
    "f'{(lambda: 1)()}'",
    "f'{1:{2:{3}}}'",
    "f'{(yield)}'",
    "$now.format('{0.__class__}%Q')",
    "$now.strftime('%Y')",
    "(1.5).format('{0.__class__}')",
    # Frames, generators, exceptions, assignment.
    "(x for x in [1]).gi_frame",
    "[g.gi_frame.f_back for g in [1]]",
    "[x for x in (y.gi_frame for y in [1])]",
    "$json.f_back.f_globals",
    "$json.tb_frame",
    "$json.cr_frame",
    "lambda: 1",
    "(lambda x: x)(1)",
    "[x := 1, x][1]",
    "(y := $json)",
    "[y for x in [1] if (y := x)]",
    "await x",
    "yield 1",
    "(yield from [1])",
    "[x async for x in [1]]",
    "x = 1",
    "del x",
    "assert 0",
    "raise ValueError",
    "1; 2",
    "@",
    "1 @ 2",
    "~1",
    "...",
    "b'x'",
    "1j",
    "t'{1}'",
    # Comprehension targets and scope.
    "[0 for $json in [1]]",
    "[0 for $json.name in [1]]",
    "[0 for $json['name'] in [1]]",
    "[0 for _ in [1]]",
    "[0 for __builtins__ in [1]]",
    "[0 for _scope in [1]]",
    "[_getattr_ for _getattr_ in [1]]",
    "[0 for a, *b in [[1, 2]]]",
    "[0 for print in [1]]",
    "[x for x in [1]] and x",
    "[x for x in x]",
    # Calls of what is no function.
    "$json()",
    "$json.name()",
    "'a'()",
    "(1)(2)",
    "[].__len__()",
    "str.upper('a')",
    "str.__class__",
    "int.from_bytes('a')",
    "dict.fromkeys([1])",
    "$json.rows.__iadd__([1])",
    "$json.clear()",
    "$json.pop('name')",
    "$json.update({'a': 1})",
    "$json.setdefault('a', 1)",
    "$json.__setitem__('a', 1)",
    "len(*[[1]])",
    "str(**{'value': 1})",
    "len(budget=1, value=2)",
    "'a'.upper(budget=1)",
    "call_method(1)",
    "str(\u01c3x=1)",
    "$node",
    "$node[$json.name]",
    "$node.items()",
    "$nodes",
    "$node.fetch.items_loaded",
    "$node.fetch._items",
    "$node.fetch['_items']",
    "$execution is $execution",
    # Zones, patterns and encodings that reach files or the C library.
    "$now.to_zone('../../../etc/passwd')",
    "$now.to_zone('/etc/localtime')",
    "$now.to_zone('Europe')",
    "$now.to_zone('')",
    "$now.to_zone(1)",
    "$now.format('%999999999d')",
    "$now.format('%_d')",
    "$now.format('%')",
    "f'{$now:%999999999Y}'",
    "parse_datetime('1', '%d%d')",
    "parse_datetime('x' * 1000)",
    # Equality and hashing tricks.
    "{(1, 2): 3}",
    "{[1]}",
    "{$json: 1}",
    "{{}}",
    "$json[(1,)]",
    "$json[[1]]",
    "$json[1:2]",
    "$json.numbers['a']",
    "$json.numbers[True]",
    "$json.numbers[1.0]",
    "(-8) ** 0.5",
]

BOMBS = [
    "9 ** 9 ** 9",
    "9 ** 99999999",
    "(2 ** 4000) ** 4000",
    "1 << 10 ** 9",
    "1 << (1 << 4000)",
    "(1 << 4095) * (1 << 4095)",
    "'a' * 10 ** 9",
    "10 ** 9 * 'a'",
    "[0] * 10 ** 9",
    "(0,) * 10 ** 9",
    "'a' * 1000000 + 'a' * 1000000",
    "[0] * 90000 + [0] * 90000",
    "['a' * 1000000] * 1000 + ['b' * 1000000, 'c' * 1000000, " + "'d' * 1000000, " * 50 + "1]",
    "[" + "'a' * 1000000, " * 300 + "1]",
    "[['a' * 1000000] * 90000] * 1000",
    "[[[[0] * 90000] * 90000] * 90000]",
    "[x for x in range(10 ** 9)]",
    "range(10 ** 9)",
    "range(0, 10 ** 30, 1)",
    "range(-10 ** 30)  or range(10 ** 30)",
    "list(range(99999)) and [1 for a in range(99999) for b in range(99999)]",
    "[1 for a in range(400) for b in range(400)]",
    "[[1 for b in range(9999)] for a in range(9999)]",
    "[" + "1 + 1, " * 2000 + "0] and [(" + "1 + 1, " * 1000 + "0) for i in range(99999)]",
    "{i * (2 ** 61 - 1) for i in range(90000)}",
    "{i * (2 ** 61 - 1): 1 for i in range(90000)}",
    "[i * (2 ** 61 - 1) for i in range(90000)].unique()",
    "set([i * (2 ** 61 - 1) for i in range(90000)])",
    # Shared parts: small in memory, endless when written out or compared.
    "[[a] * 99 for a in [[b] * 99 for b in [[c] * 99 for c in [[d] * 99 for d in [['x' * 999] * 99]]]]]",
    "str([[a, a] for a in [[b] * 999 for b in [[c] * 999 for c in [[1] * 999]]]])",
    "[[[[1] * 999] * 999] * 999] == [[[[1] * 999] * 999] * 999]",
    "[[[[1] * 999] * 999] * 999] in [[[[[1] * 999] * 999] * 999]]",
    "[[[[1] * 999] * 999] * 999] < [[[[1] * 999] * 999] * 999]",
    "f'{[[[[1] * 999] * 999] * 999]}'",
    "f'{[[[[1] * 999] * 999] * 999]!r}'",
    "to_json([[[[1] * 999] * 999] * 999])",
    "[[[[[1] * 999] * 999] * 999]].unique()",
    "sorted([[[[[1] * 999] * 999] * 999]] * 9)",
    "max([[[[[1] * 999] * 999] * 999]] * 9)",
    "[[[[[1] * 999] * 999] * 999]].index([[[[1] * 999] * 999] * 999])",
    # Functions that grow or grind.
    "'a'.rjust(10 ** 9)",
    "'a'.ljust(10 ** 9)",
    "'a'.center(10 ** 9)",
    "'a'.zfill(10 ** 9)",
    "'a'.repeat(10 ** 9)",
    "('a' * 1000000).replace('a', 'b' * 1000)",
    "('a' * 1000000).replace('', 'bcd')",
    "('a,' * 500000).split(',')",
    "('a ' * 500000).split()",
    "('\\n' * 500000).lines()",
    "('a' * 1000).join(range(90000))",
    "range(90000).join('a' * 1000)",
    "('a' * 1000000).url_encode().url_encode() + ('ä' * 1000000).url_encode()",
    "('ä' * 1000000).to_base64()",
    "round(5, -10 ** 9)",
    "round(5, 10 ** 9)",
    "(5).round(-10 ** 9)",
    "int('9' * 100000)",
    "int('f' * 1000000, 16)",
    "str(2 ** 4096)",
    "float('9' * 1000000)",
    "f'{1:>1000000000}'",
    "f'{1:.1000000000f}'",
    "f'{1:{10 ** 9}}'",
    "f'{\"a\":>99999999}'",
    "(1.5).format('1000000000.2f')",
    "(1.5).format('.1000000000f')",
    "'%1000000000d' % 1",
    "'%*d' % (10 ** 9, 1)",
    "parse_json('[' * 1000000)",
    "parse_json('[' * 90000)",
    "parse_json('[' + '1,' * 500000 + '1]')",
    "parse_json('1' * 100000)",
    "[('a' * 500000 + 'b') in ('a' * 1000000) for i in range(90000)]",
    "['aaaab' in 'a' * 29000 for i in range(90000)]",
    "[('a' * 40 + 'b' + 'a' * 40) in t for t in ['a' * 29000] for i in range(90000)]",
    "[t.rfind('b' + 'a' * 5000) for t in ['a' * 100000] for i in range(90000)]",
    "[t.strip('b' * 1000 + 'a') for t in ['a' * 100000] for i in range(90000)]",
    "[a == b for a in ['a' * 1000000] for b in ['a' * 999999 + 'b'] for i in range(90000)]",
    "[a in [b] * 900 for a in ['a' * 1000000] for b in ['a' * 999999 + 'b'] for i in range(900)]",
    "sorted([a for i in range(40000) for a in ['x' * 100000 + str(i)]])",
    "[sorted(range(1000)) for i in range(90000)]",
    "[sum(range(1000)) for i in range(90000)]",
    "[$json.user.merge($json) for i in range(90000)].length() + [x for x in range(99999)].length()",
    "range(90000).flatten().flatten().chunk(1).flatten().chunk(1).flatten().chunk(1).flatten().chunk(1).flatten()",
    "zip(range(90000), range(90000), range(90000))",
    "[*range(90000), *range(90000)]",
    "from_timestamp(10 ** 30)",
    "$now.plus(days=10 ** 30)",
    "$now.plus(months=10 ** 30)",
    "$now.plus(days=1e308)",
    "duration(days=10 ** 30)",
    "sum([1 << 4095, 1 << 4095])",
    "-" * 5000 + "1",
    "not " * 3000 + "1",
    "(" * 3000 + ")" * 3000,
    "[" * 3000 + "]" * 3000,
    "1" + " + 1" * 3000,
    "$json" + ".a" * 5000,
    "$json" + "[0]" * 4000,
    "1" + " if 1 else 1" * 1200,
    "f'" + "{1}" * 5000 + "' + 1",
    "9" * 5000,
    "0x" + "f" * 5000,
    "int(1e999)",
    "[x for x in " * 200 + "[1]" + "]" * 200,
    "'" + "a" * 20000 + "'",
    "\0",
    "'\ud800'.to_base64()",
]


def refused_within(expression: str, scope: Scope) -> float:
    started = time.perf_counter()
    with pytest.raises((ExpressionInvalid, ExpressionFailed)):
        compile_template("{{ " + expression + " }}").evaluate(scope)
    return time.perf_counter() - started


@pytest.mark.parametrize("expression", ESCAPES)
def test_no_expression_reaches_python(expression: str, scope: Scope) -> None:
    assert refused_within(expression, scope) < SECONDS_MAX


@pytest.mark.parametrize("expression", BOMBS, ids=[bomb[:50] for bomb in BOMBS])
def test_no_expression_takes_long_or_grows_large(expression: str, scope: Scope) -> None:
    assert refused_within(expression, scope) < SECONDS_MAX


def test_data_under_dunder_keys_is_only_data(evaluate: Evaluate) -> None:
    assert evaluate("{'__class__': 1}['__class__']") == 1
    assert evaluate("parse_json('{\"__class__\": 1}').get('__class__')") == 1


def test_python_objects_in_the_data_cannot_be_used(scope: Scope) -> None:
    class Thing:
        name = "attribute"

        def __str__(self) -> str:
            return "leaked"

    data: dict[str, object] = {"thing": Thing(), "module": sys, "kind": Thing, "text": type("S", (str,), {})("x")}
    for name in data:
        for expression in (
            f"$json.{name}",
            f"($json.{name})",
            f"$json.{name}.name",
            f"$json.{name}.upper()",
            f"$json['{name}']()",
            f"str($json.{name})",
            "$json.values()[0]",
            "[v for v in $json.values()]",
            "to_json($json)",
            f"f'{{$json.{name}}}'",
            f"$json.{name} == 1",
            "{**$json}",
        ):
            refused_within(expression, Scope(data, 0, {}))


def test_a_mapping_gives_its_keys_and_nothing_of_its_class(scope: Scope) -> None:
    for expression in ("$node.fetch.items_loaded", "$node.fetch.keys", "$node.fetch._items"):
        refused_within(expression, scope)
    assert compile_template("{{ $node.fetch.keys() }}").evaluate(scope) == ["json", "items"]


def test_data_that_contains_itself_is_refused_where_it_would_be_walked() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    scope = Scope({"loop": loop}, 0, {})
    for expression in ("str($json.loop)", "[$json.loop]", "$json.loop == [1, $json.loop]", "$json.loop.unique()"):
        refused_within(expression, scope)


def test_errors_hold_no_frames_of_the_evaluation(evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate("$json.price.x + 1")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_error_of_a_lazy_mapping_that_is_not_the_expressions_fault_passes_through() -> None:
    class Unreachable(dict[str, object]):
        def __getitem__(self, key: str) -> object:
            raise ConnectionError(key)

        def __iter__(self) -> Iterator[str]:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        compile_template("{{ $json.a }}").evaluate(Scope(Unreachable(), 0, {}))
