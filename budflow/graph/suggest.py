"""Did-you-mean: the closest of the names that would have been right."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(wrong: str, names: Iterable[str]) -> str | None:
    """The name that `wrong` was most likely meant to be, if any is close."""
    candidates = list(names)
    matches = get_close_matches(wrong, candidates, n=1, cutoff=0.6)
    if matches:
        return matches[0]
    folded = {name.lower(): name for name in candidates}
    return folded.get(wrong.lower())


def hint(wrong: str, names: Iterable[str], what: str) -> str:
    """A hint that names the closest match, or else the names there are (the first dozen)."""
    candidates = sorted(names)
    match = closest(wrong, candidates)
    if match is not None:
        return f"Did you mean `{match}`?"
    if not candidates:
        return f"There is no {what} to choose from."
    shown = ", ".join(f"`{name}`" for name in candidates[:12])
    return f"Use one of these: {shown}{', …' if len(candidates) > 12 else ''}."
