"""Did-you-mean: the hint that names the nearest existing word."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import islice

CANDIDATES_MAX = 400
COMPARED_MAX = 8
NEAR = 0.6
CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
SHOWN_MAX = 12
WORD_CHARS_MAX = 64


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
