"""What people write who know JavaScript, n8n or all of Python, and how it is written here: advice for errors."""

import ast
import re
from collections.abc import Mapping
from types import MappingProxyType

LOOP = "Write [f(x) for x in y if …]."
CONDITION = "Write `a if condition else b`."
CODE_NODE = "One expression gives one value; use a code node for more."
NAMED_VALUE = "Nothing is assigned in an expression; a node before this one, such as data.set, can hold the value."
COMMENT = "Write # before a comment, which ends with its line."
FORMAT = 'Write an f-string, such as f"{x}" or f"{x:.2f}".'
MOMENT = "Write $now, $today or parse_datetime(x)."

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "trim": "Write .strip().",
        "toUpperCase": "Write .upper().",
        "toLowerCase": "Write .lower().",
        "includes": "Write `x in y`, or .contains(x).",
        "startsWith": "Write .startswith(x).",
        "endsWith": "Write .endswith(x).",
        "indexOf": "Write .find(x) of text, .index(x) of a list.",
        "toString": "Write str(x).",
        "toFixed": 'Write .format(".2f").',
        "toISO": "Write .iso().",
        "toISOString": "Write .iso().",
        "toISODate": "Write .date().",
        "toFormat": 'Write .format("yyyy-MM-dd").',
        "map": LOOP,
        "filter": "Write [x for x in y if …].",
        "reduce": "Write sum(…) or another function of lists.",
        "forEach": LOOP,
        "push": "Write [*x, y].",
        "append": "Write [*x, y].",
        "slice": "Write x[1:3].",
        "substring": "Write x[1:3].",
        "padStart": "Write .rjust(width, fill).",
        "padEnd": "Write .ljust(width, fill).",
        "isEmpty": "Write .is_empty().",
        "base64Encode": "Write .to_base64().",
        "base64Decode": "Write .from_base64().",
        "removeTags": "Write .strip_tags().",
        "removeMarkdown": "Write .strip_markdown().",
        "replaceSpecialChars": "Write .without_accents().",
        "toDate": "Write .to_datetime().",
        "toDateTime": "Write .to_datetime().",
        "toWholeNumber": "Write .to_int().",
        "toDecimalNumber": "Write .to_float().",
        "smartJoin": "Write .to_dict(key, value).",
        "removeDuplicates": "Write .unique().",
        "isInteger": "Write .is_whole().",
        "hasField": "Write .has(key).",
        "hasOwnProperty": "Write .has(key).",
        "pop": "Write x[-1].",
        "charAt": "Write x[0].",
        "some": "Write any(f(x) for x in y).",
        "every": "Write all(f(x) for x in y).",
        "removeField": "Write .omit(key).",
        "keepFieldsContaining": "Write .with_value_part(text).",
        "removeFieldsContaining": "Write .without_value_part(text).",
        "beginningOf": "Write .start_of(unit).",
        "endOfMonth": 'Write .end_of("month").',
        "diffTo": "Write .diff(other, unit).",
        "toMillis": "Write .epoch_milliseconds().",
        "toSeconds": "Write .epoch_seconds().",
        "toRelative": "Write .humanize().",
        "setZone": "Write .to_zone(name).",
        "replaceAll": "Write .replace(old, new), or .regex_replace(pattern, new).",
        "match": "Write .regex_find_all(pattern).",
        "test": "Write .regex_test(pattern).",
        "flat": "Write .flatten().",
        "entries": "Write .items().",
        "format": FORMAT,
        "format_map": FORMAT,
        "strftime": 'Write .format("%Y-%m-%d").',
        "isoformat": "Write .iso().",
        "avg": "Write .average(key).",
        "mean": "Write .average(key).",
    }
)
FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "map": LOOP,
        "filter": "Write [x for x in y if …].",
        "parseInt": "Write int(x), or .to_int().",
        "parseFloat": "Write float(x), or .to_float().",
        "Number": "Write int(x), float(x), or .to_number().",
        "String": "Write str(x).",
        "Boolean": "Write bool(x).",
        "isNaN": "Write .is_numeric() of text.",
        "encodeURIComponent": "Write .url_encode().",
        "decodeURIComponent": "Write .url_decode().",
        "btoa": "Write .to_base64().",
        "atob": "Write .from_base64().",
        "default": "Write if_empty(x, default), or `x or default`.",
        "timedelta": "Write duration(days=1).",
        "isinstance": 'Write type_of(x) == "text".',
        "type": "Write type_of(x).",
        "print": "An expression only gives its value; text is made by an f-string.",
        "open": CODE_NODE,
        "exec": CODE_NODE,
        "eval": CODE_NODE,
    }
)
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "true": "Write True.",
        "false": "Write False.",
        "null": "Write None.",
        "undefined": "Write None.",
        "json": "Write $json for the item's data; to_json(x) and parse_json(x) write and read JSON.",
        "JSON": "Write to_json(x), or parse_json(x).",
        "Object": "Write x.keys(), x.values() or x.items().",
        "Math": "Write x.round(), x.floor() and their like, or max(a, b).",
        "math": "Write x.round(), x.floor() and their like, or max(a, b).",
        "datetime": MOMENT,
        "Date": MOMENT,
        "DateTime": MOMENT,
        "moment": MOMENT,
        "crypto": "Write uuid(), or x.hash(algorithm).",
        "hashlib": "Write x.hash(algorithm).",
        "base64": "Write x.to_base64(), or x.from_base64().",
        "os": "Write $env.NAME for a variable of the server's environment.",
        "process": "Write $env.NAME for a variable of the server's environment.",
        "re": "Write x.regex_find(pattern), or x.regex_replace(pattern, new).",
    }
)
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "if": CONDITION,
        "ifEmpty": "Write if_empty(x, default).",
        "not": "Write `not x`.",
        "prevNode": "Write $node.KEY, by the node's own key.",
        "parameter": "Write $node.KEY.params for the parameters of an earlier node.",
        "credentials": "Write $secrets.SLOT.FIELD, in a parameter that takes secrets.",
    }
)
SIGNS: Mapping[str, str] = MappingProxyType(
    {
        "=>": LOOP,
        "<>": "Write !=.",
        "===": "Write ==.",
        "!==": "Write !=.",
        "&&": "Write `and`.",
        "||": "Write `or`.",
        "!": "Write `not x`.",
        "??": "Write coalesce(x, y), which takes y where x is None.",
        "?": "Write `a if condition else b`, or `x?.name` for an optional key.",
        "`": 'Write f"… {x} …".',
        "...": 'Write [*x, y], or {**x, "key": y}.',
        ";": "Leave it out: an expression is only one.",
        "/*": COMMENT,
    }
)
NODES: Mapping[type[ast.AST], str] = MappingProxyType(
    {
        ast.Lambda: f'{LOOP} Lists are sorted by a key: sorted(y, by="key").',
        ast.NamedExpr: NAMED_VALUE,
        ast.Await: CODE_NODE,
    }
)
# What is no Python at all, by how it looks; the first that fits.
SHAPES = tuple(
    (re.compile(pattern), advice)
    for pattern, advice in (
        (r"\bfunction\b|(?<![\w.$])for\s", LOOP),
        (r"(?<![\w.$])new\s+Date", MOMENT),
        (r"(?<![\w.$])typeof\b", "Write type_of(x)."),
        (r"(?<![\w.$])(?:let|const|var)\s|[-+*/]=(?!=)", NAMED_VALUE),
        (r"(?<![\w.$])return\b", "Write the value alone, without `return`."),
        (r"(?<![\w.$])(?:import|from|def|class|try|with|while|raise)\s", CODE_NODE),
        (r"(?<![\w.$])if\b", CONDITION),
        (r"\b(?:AND|OR|NOT)\b", "Write `and`, `or` and `not` in small letters."),
        (r"\+\+|--", "Write x + 1 or x - 1."),
        (r"[\w\])]\.\d", "Write x[0]."),
        (r"\.\s*(?:\.|\Z)", "A name must follow the dot."),
        (r"(?m)^[ \t]*//", COMMENT),
        (r"[(,]\s*/", 'A pattern is a text, such as .regex_replace(r"a+", "b").'),
        (r"(?<![=!<>])=(?!=)", "Write == to compare; nothing is assigned in an expression."),
    )
)


def advice_on(code: str) -> str | None:
    """How what Python cannot read at all is written here, if it looks like anything known."""
    return next((advice for pattern, advice in SHAPES if pattern.search(code)), None)
