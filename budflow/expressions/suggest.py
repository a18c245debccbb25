"""Did-you-mean: the hint that names the nearest existing word."""

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import islice
from types import MappingProxyType

CANDIDATES_MAX = 400
COMPARED_MAX = 8
NEAR = 0.6
CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
SHOWN_MAX = 12
WORD_CHARS_MAX = 64

# What people who know JavaScript write, and what to write instead.
FOREIGN: Mapping[str, str] = MappingProxyType(
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
        "toFormat": 'Write .format("yyyy-MM-dd").',
        "map": "Write [f(x) for x in y].",
        "filter": "Write [x for x in y if …].",
        "reduce": "Write sum(…) or another function of lists.",
        "forEach": "Write [f(x) for x in y].",
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
        "toWholeNumber": "Write .to_int().",
        "toDecimalNumber": "Write .to_float().",
        "smartJoin": "Write .to_dict(key, value).",
        "removeDuplicates": "Write .unique().",
        "isInteger": "Write .is_whole().",
        "hasField": "Write .has(key).",
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
        "format_map": "Write an f-string.",
        "strftime": 'Write .format("%Y-%m-%d").',
        "isoformat": "Write .iso().",
        "avg": "Write .average(key).",
        "mean": "Write .average(key).",
    }
)
KEYWORDS: Mapping[str, str] = MappingProxyType(
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
        "datetime": "Write $now, or parse_datetime(x).",
        "re": "Write x.regex_find(pattern), or x.regex_replace(pattern, new).",
    }
)
SIGNS: Mapping[str, str] = MappingProxyType(
    {
        "=>": "Write [f(x) for x in y].",
        "===": "Write ==.",
        "!==": "Write !=.",
        "&&": "Write `and`.",
        "||": "Write `or`.",
        "!": "Write `not x`.",
        "`": 'Write f"… {x} …".',
    }
)


def did_you_mean(word: object, candidates: Iterable[object], *, label: str = "There are") -> str:
    """`Did you mean "name"?` when one is near, else the first few of what exists; empty when nothing does."""
    known = [key for key in islice(candidates, CANDIDATES_MAX) if isinstance(key, str) and len(key) <= WORD_CHARS_MAX]
    if not known:
        return ""
    near = _nearest(word[:WORD_CHARS_MAX], known) if isinstance(word, str) else None
    if near is not None:
        return f'Did you mean "{near}"?'
    more = ", …" if len(known) > SHOWN_MAX else ""
    return f"{label}: {', '.join(known[:SHOWN_MAX])}{more}."


def _nearest(word: str, known: list[str]) -> str | None:
    """The nearest of the known words, of those that are near; also that to the word in snake case."""
    for spelled in dict.fromkeys((word, CAMEL.sub(r"_\1", word).lower())):
        matcher = SequenceMatcher(None, "", spelled)
        quick: list[tuple[float, str]] = []
        for one in known:
            matcher.set_seq1(one)
            if matcher.real_quick_ratio() >= NEAR and (ratio := matcher.quick_ratio()) >= NEAR:
                quick.append((ratio, one))
        best = NEAR, ""
        # What is left takes the product of both lengths: too long for many words that someone made to be alike.
        for _, one in nlargest(COMPARED_MAX, quick):
            matcher.set_seq1(one)
            best = max(best, (matcher.ratio(), one))
        if best[1]:
            return best[1]
    return None


def shorten(text: str, chars_max: int = 80) -> str:
    """One line of at most `chars_max` characters, for a message."""
    line = " ".join(text[: chars_max * 4].split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"
