"""Did-you-mean: the hint that names the nearest existing word."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType

CANDIDATES_MAX = 200
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
        "toFormat": 'Write .format("%Y-%m-%d").',
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
        "isEmpty": "Write `not x`.",
        "format_map": "Write an f-string.",
    }
)
KEYWORDS: Mapping[str, str] = MappingProxyType(
    {"true": "Write True.", "false": "Write False.", "null": "Write None.", "undefined": "Write None."}
)


def did_you_mean(word: object, candidates: Iterable[object], *, label: str = "There are") -> str:
    """`Did you mean "name"?` when one is near, else the first few of what exists; empty when nothing does."""
    known = [key for key in islice(candidates, CANDIDATES_MAX) if isinstance(key, str) and len(key) <= WORD_CHARS_MAX]
    if not known:
        return ""
    near = get_close_matches(word[:WORD_CHARS_MAX], known, n=1, cutoff=0.6) if isinstance(word, str) else []
    if near:
        return f'Did you mean "{near[0]}"?'
    more = ", …" if len(known) > SHOWN_MAX else ""
    return f"{label}: {', '.join(known[:SHOWN_MAX])}{more}."


def shorten(text: str, chars_max: int = 80) -> str:
    """One line of at most `chars_max` characters, for a message."""
    line = " ".join(text[: chars_max * 4].split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"
