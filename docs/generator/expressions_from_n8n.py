"""docs/reference/expressions-from-n8n.md: what n8n's functions of data are called here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from generator.expressions import shown
from generator.markdown import Page, code, page, table

NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True)
class Row:
    """A function of n8n, an expression that does here what it does there (or none), and its value."""

    theirs: str
    ours: str
    value: object
    note: str = ""
    given: Mapping[str, object] = field(default_factory=lambda: NOTHING)


PEOPLE = {"rows": [{"id": 1, "city": "Rome"}, {"id": 2, "city": "Bern"}]}
UNDEFINED = "A value of this type has no such form."
YESTERDAY = "2026-01-30T13:05:09+00:00"

ROWS: Mapping[str, tuple[Row, ...]] = MappingProxyType(
    {
        "String": (
            Row("base64Decode", "'aGVsbG8='.from_base64()", "hello", "Also `fromBase64` there."),
            Row("base64Encode", "'hello'.to_base64()", "aGVsbG8=", "Also `toBase64` there."),
            Row("extractDomain", "'https://example.org/a'.extract_domain()", "example.org"),
            Row("extractEmail", "'to ada@example.org'.extract_email()", "ada@example.org"),
            Row("extractUrl", "'see http://example.org'.extract_url()", "http://example.org"),
            Row("extractUrlPath", "'http://example.org/a'.extract_url_path()", "/a"),
            Row("hash", "'hello'.hash('md5')", "5d41402abc4b2a76b9719d911017c592", "The default here is sha256."),
            Row("isBlank", "'  '.is_blank()", True),
            Row("isDomain", "'example.org'.is_domain()", True),
            Row("isEmail", "'ada@example.org'.is_email()", True),
            Row("isEmpty", "''.is_empty()", True, "`is_empty(x)` takes None too."),
            Row("isNotBlank", "not ' a '.is_blank()", True),
            Row("isNotEmpty", "'a'.is_not_empty()", True),
            Row("isNumeric", "'1.5'.is_numeric()", True),
            Row("isUrl", "'http://example.org'.is_url()", True),
            Row("length", "'abc'.length()", 3, "Or `len(x)`."),
            Row("parseJson", "'[1]'.parse_json_or(None)", [1], "`.parse_json()` fails on what is no JSON."),
            Row("quote", "'say \"hi\"'.quote()", '"say \\"hi\\""'),
            Row("removeMarkdown", "'**bold**'.strip_markdown()", "bold"),
            Row("removeTags", "'<b>bold</b>'.strip_tags()", "bold"),
            Row("replaceSpecialChars", "'déjà'.without_accents()", "deja"),
            Row("toBoolean", "'yes'.to_bool()", True, "A word that is neither is an error."),
            Row("toDate", "'2026-01-31'.to_datetime().date()", "2026-01-31"),
            Row("toDateTime", "'2026-01-31'.to_datetime().year()", 2026),
            Row("toDecimalNumber", "'1.5'.to_float()", 1.5),
            Row("toFloat", "'1.5'.to_float()", 1.5),
            Row("toInt", "'12.9'.to_int()", 12),
            Row("toJsonString", "'a\"b'.to_json()", '"a\\"b"'),
            Row("toNumber", "'12'.to_number()", 12),
            Row("toSentenceCase", "'HELLO. you'.sentence_case()", "Hello. You"),
            Row("toSnakeCase", "'Hello World'.snake_case()", "hello_world"),
            Row("toTitleCase", "'quick a brown FOX'.title_case()", "Quick a Brown Fox"),
            Row("toWholeNumber", "'12.9'.to_int()", 12),
            Row("urlDecode", "'a%20b'.url_decode()", "a b"),
            Row("urlEncode", "'a b'.url_encode()", "a%20b", "What to leave alone: `keep=`."),
        ),
        "Array": (
            Row("append", "[1].append(2)", [1, 2], "Or `[*x, 2]`."),
            Row("average", "[1, 3].average()", 2.0),
            Row("chunk", "[1, 2, 3].chunk(2)", [[1, 2], [3]]),
            Row("compact", "[1, None, ''].compact()", [1]),
            Row("difference", "[1, 2].difference([2])", [1]),
            Row("first", "[1, 2].first()", 1),
            Row("intersection", "[1, 2].intersection([2, 3])", [2]),
            Row("isEmpty", "[].is_empty()", True, "Or `not x`."),
            Row("isNotEmpty", "[1].is_not_empty()", True),
            Row("last", "[1, 2].last()", 2),
            Row("max", "[1, 3].max()", 3),
            Row("merge", "[{'a': 1}].merge([{'b': 2}])", {"a": 1, "b": 2}),
            Row("min", "[1, 3].min()", 1),
            Row("pluck", "$json.rows.pluck('city')", ["Rome", "Bern"], given=PEOPLE),
            Row("randomItem", "[7, 7].random_item()", 7, "The same again when the node's run is repeated."),
            Row("removeDuplicates", "[1, 2, 1].unique()", [1, 2]),
            Row("renameKeys", "[{'a': 1}].rename_keys({'a': 'b'})", [{"b": 1}]),
            Row("smartJoin", "[{'k': 'a', 'v': 1}].to_dict('k', 'v')", {"a": 1}),
            Row("sum", "[1, 2].sum()", 3),
            Row("toBoolean", "bool([0])", True),
            Row("toDateTime", "[x.to_datetime().day() for x in ['2026-01-31']]", [31], "Of its elements."),
            Row("toFloat", "[float(x) for x in ['1.5']]", [1.5], "Of its elements."),
            Row("toInt", "[int(x) for x in ['1']]", [1], "Of its elements."),
            Row("toJsonString", "[1, 'a'].to_json()", '[1,"a"]'),
            Row("union", "[1, 2].union([2, 3])", [1, 2, 3]),
            Row("unique", "[1, 2, 1].unique()", [1, 2]),
        ),
        "Number": (
            Row("abs", "(-1).abs()", 1),
            Row("ceil", "(1.2).ceil()", 2),
            Row("floor", "(1.8).floor()", 1),
            Row("format", "(1234.5).format_number(2)", "1,234.50", "Signs instead of locales; or `.format(',.2f')`."),
            Row("isEven", "(4).is_even()", True),
            Row("isInteger", "(4.0).is_whole()", True),
            Row("isOdd", "(3).is_odd()", True),
            Row("round", "(1.256).round(1)", 1.3, "Halves go to the even number, as in Python."),
            Row("toBoolean", "(1).to_bool()", True),
            Row("toDateTime", "(1769864709).to_datetime('s').date()", "2026-01-31"),
            Row("toFloat", "(1).to_float()", 1.0),
            Row("toInt", "(1.9).to_int()", 1),
        ),
        "Boolean": (
            Row("toBoolean", "True.to_bool()", True),
            Row("toDateTime", "", None, UNDEFINED),
            Row("toFloat", "True.to_float()", 1.0),
            Row("toInt", "True.to_int()", 1),
            Row("toNumber", "True.to_number()", 1),
        ),
        "Object": (
            Row("compact", "{'a': 1, 'b': None}.compact()", {"a": 1}),
            Row("hasField", "{'a': 1}.has('a')", True),
            Row("isEmpty", "{}.is_empty()", True),
            Row("isNotEmpty", "{'a': 1}.is_not_empty()", True),
            Row("keepFieldsContaining", "{'a': 'Mr A', 'b': 'x'}.with_value_part('Mr')", {"a": "Mr A"}),
            Row("keys", "{'a': 1}.keys()", ["a"]),
            Row("removeField", "{'a': 1, 'b': 2}.omit('a')", {"b": 2}),
            Row("removeFieldsContaining", "{'a': 'Mr A', 'b': 'x'}.without_value_part('Mr')", {"b": "x"}),
            Row("toBoolean", "bool({'a': 1})", True),
            Row("toDateTime", "", None, UNDEFINED),
            Row("toFloat", "", None, UNDEFINED),
            Row("toInt", "", None, UNDEFINED),
            Row("toJsonString", "{'a': 1}.to_json()", '{"a":1}'),
            Row("urlEncode", "{'a': 'b c'}.to_query()", "a=b%20c"),
            Row("values", "{'a': 1}.values()", [1]),
        ),
        "Date": (
            Row("beginningOf", "$now.start_of('month').date()", "2026-01-01", "Luxon's `startOf` too."),
            Row("diffTo", "$now.diff('2026-01-30T13:05:09Z', 'hours')", 24.0),
            Row("diffToNow", "$now.minus(days=1).diff_to_now('hours')", -24.0),
            Row("endOfMonth", "$now.end_of('month').date()", "2026-01-31", "Luxon's `endOf` too."),
            Row("extract", "$now.extract('week')", 5),
            Row("format", "$now.format('dd.MM.yyyy')", "31.01.2026", "Luxon's `toFormat` too."),
            Row("isBetween", "$now.is_between('2026-01-01', '2026-12-31')", True),
            Row("isDst", "$now.to_zone('Europe/Berlin').is_dst()", False),
            Row("isEmpty", "$now.is_empty()", False),
            Row("isInLast", "$now.minus(minutes=1).is_in_last(2, 'minutes')", True),
            Row("isNotEmpty", "$now.is_not_empty()", True),
            Row("isWeekend", "$now.is_weekend()", True),
            Row("minus", "$now.minus(1, 'day').iso()", YESTERDAY),
            Row("plus", "$now.plus(1, 'day').date()", "2026-02-01"),
            Row("toBoolean", "", None, UNDEFINED),
            Row("toDateTime", "$now.iso()", "2026-01-31T13:05:09+00:00", "It is one already."),
            Row("toFloat", "$now.timestamp()", 1769864709.0, "In seconds; there in milliseconds."),
            Row("toInt", "$now.epoch_milliseconds()", 1769864709000),
        ),
        "Functions": (
            Row("$average, average", "average(1, 3)", 2.0),
            Row("$if", "'a' if 1 < 2 else 'b'", "a"),
            Row("$ifEmpty", "if_empty('', 'x')", "x"),
            Row("$jmespath", "jmespath({'a': [1, 2]}, 'a[1]')", 2),
            Row("$max, max", "max(1, 3)", 3),
            Row("$min, min", "min(1, 3)", 1),
            Row("$not, not", "not True", False),
            Row("numberList", "number_list(1, 3)", [1, 2, 3]),
            Row("zip", "zip_dict(['a', 'b'], [1, 2])", {"a": 1, "b": 2}, "`zip()` here gives pairs."),
        ),
        "JavaScript and Luxon": (
            Row("String.concat", "'a'.concat('b')", "ab", "Or `a + b`."),
            Row("String.endsWith", "'abc'.endswith('c')", True),
            Row("String.includes", "'b' in 'abc'", True),
            Row("String.indexOf", "'abc'.find('c')", 2),
            Row("String.match", r"'a1b2'.regex_find_all(r'\d')", ["1", "2"]),
            Row("String.padStart", "'7'.rjust(3, '0')", "007"),
            Row("String.padEnd", "'7'.ljust(3, '.')", "7.."),
            Row("String.repeat", "'ab'.repeat(2)", "abab"),
            Row("String.replaceAll", "'a-b-c'.replace('-', '')", "abc", "With a pattern: `.regex_replace()`."),
            Row("String.slice, substring", "'abc'[1:]", "bc"),
            Row("String.split", "'a,b'.split(',')", ["a", "b"]),
            Row("String.startsWith", "'abc'.startswith('a')", True),
            Row("String.toLowerCase", "'ABC'.lower()", "abc"),
            Row("String.toUpperCase", "'abc'.upper()", "ABC"),
            Row("String.trim", "' a '.strip()", "a"),
            Row("Array.concat", "[1] + [2]", [1, 2]),
            Row("Array.filter", "[x for x in [1, 2, 3] if x > 1]", [2, 3]),
            Row("Array.find", "$json.rows.find_by('id', 2).city", "Bern", given=PEOPLE),
            Row("Array.flat", "[1, [2]].flatten()", [1, 2]),
            Row("Array.includes", "2 in [1, 2]", True),
            Row("Array.indexOf", "['a', 'b'].index('b')", 1),
            Row("Array.join", "[1, 2].join(', ')", "1, 2"),
            Row("Array.map", "[x * 2 for x in [1, 2]]", [2, 4]),
            Row("Array.reduce", "sum(x * 2 for x in [1, 2])", 6, "`sum`, `max`, `.product()` … of a comprehension."),
            Row("Array.reverse", "[1, 2].reverse()", [2, 1]),
            Row("Array.slice", "[1, 2, 3][1:]", [2, 3]),
            Row("Array.sort", "[2, 1].sort()", [1, 2]),
            Row("Math.random", "0 <= random() < 1", True),
            Row("Number.toFixed", "(1.5).format('.2f')", "1.50"),
            Row("Object.entries", "{'a': 1}.items()", [["a", 1]]),
            Row("JSON.stringify", "to_json({'a': 1})", '{"a":1}'),
            Row("DateTime.fromISO", "parse_datetime('2026-01-31').day()", 31),
            Row("DateTime.fromFormat", "parse_datetime('31/01/2026', 'dd/MM/yyyy').day()", 31),
            Row("DateTime.fromMillis", "(1769864709000).to_datetime().day()", 31),
            Row("DateTime.setZone", "$now.to_zone('Asia/Tokyo').hour()", 22),
            Row("DateTime.toISO", "$now.iso()", "2026-01-31T13:05:09+00:00"),
            Row("DateTime.toMillis", "$now.epoch_milliseconds()", 1769864709000),
            Row("DateTime.toRelative", "$now.minus(hours=3).humanize()", "3 hours ago"),
            Row("DateTime.weekday", "$now.weekday()", 6),
        ),
    }
)


def pages() -> Iterator[Page]:
    """The one page."""
    yield page(
        "reference/expressions-from-n8n.md",
        "# Expressions for those who know n8n",
        INTRODUCTION,
        *(
            f"## {kind}\n\n" + table(["n8n", "here", "gives", ""], (_cells(row) for row in rows))
            for kind, rows in ROWS.items()
        ),
    )


def _cells(row: Row) -> list[str]:
    return [code(row.theirs), code(row.ours) if row.ours else "", code(shown(row.value)) if row.ours else "", row.note]


INTRODUCTION = """
Expressions are [Python's](expressions.md) here and JavaScript's in n8n. This page has every function that n8n adds to
data, by its type, and the most used ones of JavaScript and Luxon, each with an expression that does the same here.
Every expression is evaluated by a test; `$now` is 2026-01-31 13:05:09 UTC.

What differs everywhere: `x.length` is `x.length()`, `null` and `undefined` are `None`, `true` is `True`, `a ? b : c` is
`b if a else c`, `a ?? b` is `coalesce(a, b)`, `&&`, `||` and `!` are `and`, `or` and `not`, `===` is `==`, `${…}` in a
text is `f"{…}"`, `x => …` is a comprehension, and `...x` is `*x` in a list and `**x` in a dict, whose keys stand in
quotes. `$("Fetch")` is `$node.fetch`, by the node's key, and no `=` stands before the `{{`. Most of what is written as
it is there ends in an error that says how it is written here.
"""
