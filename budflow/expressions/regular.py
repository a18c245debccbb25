"""Regular expressions in linear time: RE2, bounded by the length of pattern and text and by the time it takes.

RE2 (https://github.com/google/re2/wiki/Syntax) has no look-around and no backreferences, so no pattern explodes. What
is left is the product of the text and the positions in the pattern, and, with many matches, of the text and their
number: the first is refused beforehand, the second ends when the evaluation's time is up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from budflow.expressions.budget import ELEMENTS_MAX, TEXT_CHARS_MAX, Budget, Fault
from budflow.expressions.suggest import did_you_mean, shorten

PATTERN_CHARS_MAX = 1_000
PROGRAM_BYTES_MAX = 1 << 20  # Of a compiled pattern with its automaton.
CACHED_PATTERNS_MAX = 128
WORK_MAX = 5_000_000  # Bytes of text times positions in the pattern: RE2 needs up to 4.5 ns for each.
WORK_A_STEP = 100
WORK_TIMED = 20_000  # From here on the clock is looked at, instead of charging the worst case in steps.
MATCHES_UNTIMED = 16
TEMPLATE_PARTS_MAX = 100
STEPS_A_PATTERN = 500  # Compiling one takes 0.05 ms to 10 ms; the clock sees to the latter.

NOT_IN_RE2: Mapping[str, str] = {
    "(?=": "Look-ahead is not supported: match what follows as well, and take a group.",
    "(?!": "Look-ahead is not supported: match what follows as well, and take a group.",
    "(?<=": "Look-behind is not supported: match what comes before as well, and take a group.",
    "(?<!": "Look-behind is not supported: match what comes before as well, and take a group.",
    "(?>": "Atomic groups are not supported, nor needed: matching takes linear time.",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pattern, ready to match UTF-8 bytes; `spans` finds where it matches without its groups, which is faster."""

    groups: Any
    spans: Any
    positions: int
    names: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """One match: its text, where that is in the bytes, and its groups."""

    text: str
    start: int
    end: int
    groups: tuple[str | None, ...]


def compiled(pattern: object, *, ignore_case: bool = False) -> Compiled:
    """The pattern, from the cache if it is there; a Fault says what is wrong with it."""
    if type(pattern) is not str or len(pattern) > PATTERN_CHARS_MAX:
        raise Fault(f"a pattern is a text of at most {PATTERN_CHARS_MAX:,} characters")
    return _compiled(pattern, bool(ignore_case))


def matches(budget: Budget, pattern: object, subject: str, *, ignore_case: bool = False, entire: bool = False) -> bool:
    """Whether the pattern matches anywhere in the text, or all of it."""
    program = _charged_pattern(budget, pattern, ignore_case)
    data = _charged_data(budget, program, subject)
    find = program.spans.fullmatch if entire else program.spans.search
    found = find(data)
    if len(data) * program.positions > WORK_TIMED:
        budget.look()
    return found is not None


def first(budget: Budget, pattern: object, subject: str, *, ignore_case: bool = False) -> Found | None:
    """The first match."""
    return next(every(budget, pattern, subject, ignore_case=ignore_case, limit=1), None)


def every(
    budget: Budget, pattern: object, subject: str, *, ignore_case: bool = False, limit: int, groups: bool = True
) -> Iterator[Found]:
    """The matches from the left, without overlap, at most `limit`; an empty one never splits a character."""
    program = _charged_pattern(budget, pattern, ignore_case)
    data = _charged_data(budget, program, subject)
    searching = program.groups if groups else program.spans
    at, count = 0, 0
    long = len(data) * program.positions > WORK_TIMED
    while at <= len(data) and count < limit:
        found = searching.search(data, at)
        if found is None:
            break
        budget.spend(1)
        start, end = found.span()
        inside = tuple(None if group is None else _text(group) for group in found.groups())
        yield Found(_text(data[start:end]), start, end, inside)
        count += 1
        at = end if end > start else _next_character(data, end)
        if long or count > MATCHES_UNTIMED:
            budget.look()
    if long:
        budget.look()


def replace(
    budget: Budget, pattern: object, subject: str, new: str, *, ignore_case: bool = False, limit: int = ELEMENTS_MAX
) -> str:
    r"""The text with the matches replaced; in `new`, `\1` and `\g<name>` are groups, `\0` the match, `\\` is `\`."""
    template = _template(_charged_pattern(budget, pattern, ignore_case), new)
    data = subject.encode()
    made: list[str] = []
    at, chars = 0, len(subject)
    with_groups = any(type(part) is int and part for part in template)
    for found in every(budget, pattern, subject, ignore_case=ignore_case, limit=limit, groups=with_groups):
        made.append(_text(data[at : found.start]))
        at = found.end
        for part in template:
            piece = part if isinstance(part, str) else found.groups[part - 1] if part else found.text
            made.append(piece or "")
            chars += len(made[-1])
        if chars > TEXT_CHARS_MAX:
            budget.text(chars)  # Which raises.
    made.append(_text(data[at:]))
    budget.text(chars)
    return "".join(made)


def split(budget: Budget, pattern: object, subject: str, *, ignore_case: bool = False, limit: int) -> list[str]:
    """The parts of the text between the matches, which are not empty ones, after at most `limit` cuts."""
    data = subject.encode()
    parts: list[str] = []
    at = 0
    for found in every(budget, pattern, subject, ignore_case=ignore_case, limit=limit, groups=False):
        if found.end > found.start:
            parts.append(_text(data[at : found.start]))
            at = found.end
    return [*parts, _text(data[at:])]


def escape(pattern: str) -> str:
    """The pattern that matches exactly this text."""
    return "".join(char if char.isalnum() or char in "_- " or not char.isascii() else f"\\{char}" for char in pattern)


def _template(pattern: Compiled, new: object) -> list[str | int]:
    """A replacement's literal parts, and its groups by number."""
    if type(new) is not str:
        raise Fault("the replacement must be a text")
    parts: list[str | int] = []
    at = 0
    while (sign := new.find("\\", at)) >= 0:
        parts.append(new[at:sign])
        following = new[sign + 1 : sign + 2]
        at = sign + 2
        if following == "\\":
            parts.append("\\")
        elif following.isascii() and following.isdigit():
            parts.append(_group(pattern, following))
        elif following == "g" and new[at : at + 1] == "<" and (end := new.find(">", at)) > 0:
            parts.append(_group(pattern, new[at + 1 : end]))
            at = end + 1
        else:
            parts.append("\\" + following)
        if len(parts) > TEMPLATE_PARTS_MAX:
            raise Fault(f"a replacement may name {TEMPLATE_PARTS_MAX // 2} groups at most")
    return [part for part in (*parts, new[at:]) if part != ""]


def _group(pattern: Compiled, name: str) -> int:
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 4 else pattern.names.get(name, -1)
    if not 0 <= number <= pattern.groups.groups:
        raise Fault(
            f"the pattern has no group {shorten(name, 20)!r}", did_you_mean(name, pattern.names, label="It has")
        )
    return number


def _charged_pattern(budget: Budget, pattern: object, ignore_case: bool) -> Compiled:
    _engine()  # Loaded before the clock starts.
    misses = _compiled.cache_info().misses
    program = compiled(pattern, ignore_case=ignore_case)
    if _compiled.cache_info().misses > misses:
        budget.spend(STEPS_A_PATTERN)
        budget.look()
    return program


def _charged_data(budget: Budget, program: Compiled, subject: str) -> bytes:
    budget.text(len(subject))
    data = subject.encode()
    work = len(data) * program.positions
    if work > WORK_MAX:
        raise Fault(
            f"this pattern is too much for a text of {len(subject):,} characters",
            "Shorten the text, or the pattern: repetitions such as {100} count as often as they repeat.",
            over_budget=True,
        )
    if work <= WORK_TIMED:
        budget.spend(work // WORK_A_STEP)
    else:
        budget.look()
    return data


@cache
def _engine() -> Any:
    import re2  # noqa: PLC0415  # 10 ms, which a server without regular expressions need not pay.

    return re2


@lru_cache(maxsize=CACHED_PATTERNS_MAX)
def _compiled(pattern: str, ignore_case: bool) -> Compiled:
    re2 = _engine()

    def program(data: bytes, *, capture: bool, one_byte: bool = False) -> Any:
        options = re2.Options()
        options.max_mem = PROGRAM_BYTES_MAX
        options.log_errors = False
        options.case_sensitive = not ignore_case
        options.never_capture = not capture
        if one_byte:
            options.encoding = re2.Options.Encoding.LATIN1
        return re2.compile(data, options)

    try:
        data = pattern.encode()
        groups = program(data, capture=True)
        spans = program(data, capture=False)
    except UnicodeEncodeError:
        raise Fault("a pattern cannot hold half a character") from None
    except re2.error as error:
        raise _refused(pattern, error) from None
    try:
        # A class of many letters is one position, and only in UTF-8 a large program.
        positions = program(data, capture=True, one_byte=True).programsize
    except re2.error:
        positions = groups.programsize
    names = {_text(name): index for name, index in groups.groupindex.items()}
    return Compiled(groups, spans, positions, names)


def _refused(pattern: str, error: Exception) -> Fault:
    reason = error.args[0] if error.args else ""
    told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    hint = next((advice for sign, advice in NOT_IN_RE2.items() if sign in pattern), "")
    if not hint and "escape" in told:
        hint = 'Backreferences are not supported; write \\\\ for a backslash in a text, or r"\\d".'
    return Fault(
        f"{shorten(pattern, 40)!r} is not a pattern: {shorten(told, 80)}", hint or "The syntax is that of RE2."
    )


def _next_character(data: bytes, at: int) -> int:
    at += 1
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at


def _text(data: str | bytes) -> str:
    # \C matches one byte, which may be a part of a character.
    return data.decode(errors="replace") if isinstance(data, bytes) else data
