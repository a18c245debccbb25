"""Who writes what means something in JavaScript, in n8n or in the rest of Python is told how it is written here."""

import re

import pytest

from budflow.errors import BudflowError
from budflow.expressions import foreign
from budflow.expressions.evaluate import NAMES
from budflow.expressions.table import table
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        # Signs
        ("$json.name === 'Ada'", "Write ==."),
        ("$json.name !== 'Ada'", "Write !=."),
        ("$json.yes && $json.none", "Write `and`."),
        ("$json.yes || $json.none", "Write `or`."),
        ("!$json.yes", "Write `not x`."),
        ("$json.yes ? 'a' : 'b'", "Write `a if condition else b`"),
        ("$json.none ?? 'a'", "Write coalesce(x, y)"),
        ("`Hello ${$json.name}`", 'Write f"… {x} …".'),
        ("[...$json.numbers, 4]", "[*x, y]"),
        ("{...$json, 'a': 1}", '{**x, "key": y}'),
        ("$json.name;", "Leave it out"),
        ("$json.name /* the name */", "# before a comment"),
        ("// the name\n$json.name", "# before a comment"),
        ("$json.name # the name", "ends with its line"),
        ("$json.price++", "x + 1"),
        ("$json.price += 1", "data.set"),
        ("$json.price = 1", "== to compare"),
        ("$json.name.replace(/a/g, 'b')", "regex_replace"),
        ("$json.name <> 'Ada'", "Write !=."),
        ("$json.rows.0", "Write x[0]."),
        ("$json.", "A name must follow"),
        ("$json..name", "A name must follow"),
        ("($json.name", "Write `)` before"),
        ("$json.name)", "Remove it"),
        ("'Ada", "quote"),
        # Words and shapes of a language
        ("$json.yes AND $json.none", "small letters"),
        ("NOT $json.yes", "small letters"),
        ("$json.rows.map(r => r.n)", "Write [f(x) for x in y if …]."),
        ("$json.rows.map(function(r) { return r.n })", "Write [f(x) for x in y if …]."),
        ("$json.rows.map(lambda r: r.n)", "Write [f(x) for x in y if …]."),
        ("sorted($json.rows, key=lambda r: r.n)", 'by="key"'),
        ("(p := $json.price) + p", "data.set"),
        ("new Date()", "$now"),
        ("typeof $json.name", "type_of(x)"),
        ("let x = 3", "data.set"),
        ("return $json.name", "without `return`"),
        ("import os", "code node"),
        ("await $json.name", "code node"),
        ("for r in $json.rows: r.n", "Write [f(x) for x in y if …]."),
        ("if $json.yes: 1", "Write `a if condition else b`"),
        # Names
        ("true", "Write True."),
        ("$json.none == null", "Write None."),
        ("DateTime.now()", "$now"),
        ("Date.now()", "$now"),
        ("crypto.randomUUID()", "uuid()"),
        ("os.environ", "$env.NAME"),
        ("hashlib.md5('a')", ".hash("),
        ("$json.name | upper", "x.upper(…)"),
        ("$json.none | default('x')", "if_empty("),
        ("{name: $json.name}", '{"name": …}'),
        ("$now.plus({days: 3})", '{"days": …}'),
        ("$now.plus({'days': 3})", ".plus(days=1, hours=2)"),
        ("$('Fetch').item.json.id", "$node.KEY"),
        ("$items('Fetch')", "$node.KEY.items"),
        ("$json()", "without the ()"),
        ("$itemIndex", "$item_index"),
        ("$jmespath($json, 'name')", "Write jmespath("),
        ("$max(1, 2)", "Write max("),
        ("$if($json.yes, 1, 2)", "Write `a if condition else b`"),
        ("$ifEmpty($json.none, 1)", "Write if_empty("),
        ("$not($json.yes)", "Write `not x`."),
        ("$prevNode.name", "$node.KEY"),
        ("$parameter.x", "$node.KEY.params"),
        ("$credentials.token", "$secrets.SLOT.FIELD"),
        # Functions and methods
        ("map(len, $json.rows)", "Write [f(x) for x in y if …]."),
        ("filter(None, $json.rows)", "Write [x for x in y if …]."),
        ("parseInt('3')", "Write int(x)"),
        ("Number('3')", "Write int(x)"),
        ("String(3)", "Write str(x)."),
        ("Boolean(1)", "Write bool(x)."),
        ("isNaN(3)", "is_numeric"),
        ("encodeURIComponent('a b')", ".url_encode()"),
        ("isinstance($json.name, str)", "type_of(x)"),
        ("print($json.name)", "f-string"),
        ("open('a')", "code node"),
        ("$json.numbers.length", "Write `.length()`."),
        ("$json.numbers.pop()", "Write x[-1]."),
        ("$json.rows.some(r)", "Write any("),
        ("$json.hasOwnProperty('name')", ".has(key)"),
        ("$json.name.charAt(0)", "Write x[0]."),
        ("$json.name.toUpperCase", "Write .upper()."),
        ("$json.rows.n", '.pluck("n")'),
        ("$json.rows['n']", '.pluck("n")'),
        ("$json.rows[9]", "`?.[9]`"),
        ("$now.dayName", '"day_name"'),
        ("$now + timedelta(days=1)", "Write duration("),
        ("$json.name.toUpperCase()", "Write .upper()."),
        ("'{}'.format($json.name)", "Write an f-string"),
        ("$json.name.format('x')", "Write an f-string"),
        ("'%s' % $json.name", "Write an f-string"),
        ("$json.name + 1", "Write str(x)"),
        ("$now > '2026-01-01'", "parse_datetime(x)"),
        ("$json.price > '7'", "float(x)"),
        ("$json.price > $json.none", "(x or 0)"),
    ],
)
def test_the_hint_says_how_it_is_written_here(expression: str, advice: str, evaluate: Evaluate) -> None:
    with pytest.raises(BudflowError) as caught:
        evaluate(expression)

    assert advice in caught.value.hint
    told = re.sub("`[^`]*`", "", caught.value.message)
    assert not re.search(r"[.?!][.?!]|\. [a-z]", told)  # Sentences, as they are.


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$json.name.upper()", "ADA"),
        ('$json["first-name"]', "Ada"),
        ("$now.plus(days=3).format('yyyy-MM-dd')", "2026-02-03"),
        ("[x * 2 for x in $json.numbers if x > 1]", [6, 4]),
        ("f'{$json.name.lower()}: {$json.ratio:.1f}'", "ada: 0.5"),
        ("'big' if $json.price > 5 else 'small'", "big"),
        ("1 < $json.price <= 10", True),
        ("$json.name?.strip()[0] or 'x'", "A"),
        ("$json.rows[0]?.n", 3),
        ("$json.user.email.split('@')[-1]", "example.org"),
        ("sorted($json.rows, by='n')[0].n", 1),
        ("sum(r.n for r in $json.rows)", 6),
        ("any(r.kind == 'y' for r in $json.rows)", True),
        ("',' .join(str(n) for n in $json.numbers)", "3,1,2"),
        ("{'name': $json.name, 'n': len($json.rows)}", {"name": "Ada", "n": 3}),
        ("{**$json.user, 'tags': [*$json.user.tags, 'c']}", {"email": "ada@example.org", "tags": ["a", "b", "c"]}),
        ("[i for i, r in enumerate($json.rows) if r.kind == 'x']", [0, 2]),
        ("dict(zip(['a', 'b'], $json.numbers))", {"a": 3, "b": 1}),
        ("8 // 3 - -1 + +1", 4),
        ("'a  # b'", "a  # b"),
        ("'// /* ?? ... new Date() ;'", "// /* ?? ... new Date() ;"),
    ],
)
def test_what_reads_alike_but_means_something_here_is_left_alone(
    expression: str, value: object, evaluate: Evaluate
) -> None:
    assert evaluate(expression) == value


ADVICE = [
    text
    for texts in (foreign.METHODS, foreign.FUNCTIONS, foreign.WORDS, foreign.NAMES, foreign.SIGNS, foreign.NODES)
    for text in texts.values()
] + [text for _, text in foreign.SHAPES]


@pytest.mark.parametrize("advice", sorted(set(ADVICE)))
def test_advice_names_only_what_there_is(advice: str) -> None:
    assert advice[0].isupper() or advice[0] == "$"
    assert advice.endswith(".")
    for dot, name in re.findall(r"(\.?)\b([a-z_]+)\(", advice):
        assert name in (table().method_names if dot else table().functions) or name == "f", name
    for name in re.findall(r"\$([a-z_]+)", advice):
        assert name in NAMES
