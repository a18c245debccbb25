"""Did-you-mean: the closest of the names that would have been right."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN_MAX = 20


def closest(wrong: str, names: Iterable[str]) -> str | None:
    """The name that `wrong` was most likely meant to be, if any is close."""
    candidates = sorted(names)
    for name in candidates:
        if name.lower() == wrong.lower():
            return name
    matches = get_close_matches(wrong, candidates, n=1, cutoff=0.6)
    return matches[0] if matches else None


def hint(wrong: str, names: Iterable[str], what: str) -> str:
    """A hint that names the closest match, or else the names there are (the first SHOWN_MAX)."""
    candidates = sorted(names)
    match = closest(wrong, candidates)
    if match is not None:
        return f"Did you mean `{match}`?"
    if not candidates:
        return f"There is no {what} to choose from."
    return f"Use one of these: {listed(candidates)}."


def listed(names: Iterable[str]) -> str:
    """Names as a message shows them: `a`, `b`, … (the first SHOWN_MAX)."""
    every = list(names)
    shown = ", ".join(f"`{name}`" for name in every[:SHOWN_MAX])
    return f"{shown}, …" if len(every) > SHOWN_MAX else shown
