"""Text: its parts, its ends, and putting it together."""

import textwrap

from budflow.expressions.arguments import listed, text as as_text, whole
from budflow.expressions.budget import ELEMENTS_MAX, Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.values import text_of

LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # Where Python ends a line.
TAB_CHARS = 8
COPIED_A_STEP = 2_000  # A word that fills several lines is copied for each of them.


@method(str, name="strip", examples=[("'  x '.strip()", "x"), ("'--x-'.strip('-')", "x")])
def strip(budget: Budget, text: str, chars: str | None = None) -> str:
    """The text without whitespace (or the given characters) at both ends."""
    return _strip_start(budget, _strip_end(budget, text, chars), chars)


@method(str, name="lstrip", examples=[("'  x '.lstrip()", "x ")])
def lstrip(budget: Budget, text: str, chars: str | None = None) -> str:
    """The text without whitespace (or the given characters) at its start."""
    return _strip_start(budget, text, chars)


@method(str, name="rstrip", examples=[("'  x '.rstrip()", "  x")])
def rstrip(budget: Budget, text: str, chars: str | None = None) -> str:
    """The text without whitespace (or the given characters) at its end."""
    return _strip_end(budget, text, chars)


@method(str, name="removeprefix", examples=[("'v1.2'.removeprefix('v')", "1.2")])
def removeprefix(budget: Budget, text: str, prefix: str) -> str:
    """The text without this start, if it has it."""
    budget.text(len(text))
    return text.removeprefix(prefix)


@method(str, name="removesuffix", examples=[("'main.py'.removesuffix('.py')", "main")])
def removesuffix(budget: Budget, text: str, suffix: str) -> str:
    """The text without this end, if it has it."""
    budget.text(len(text))
    return text.removesuffix(suffix)


@method(str, name="before", examples=[("'ada@example.org'.before('@')", "ada"), ("'ada'.before('@')", "ada")])
def before(budget: Budget, text: str, part: str) -> str:
    """What stands before the first occurrence of the part; the whole text when there is none."""
    budget.search(text, as_text(part))
    budget.text(len(text))
    return text.partition(part)[0]


@method(str, name="after", examples=[("'ada@example.org'.after('@')", "example.org"), ("'ada'.after('@')", "")])
def after(budget: Budget, text: str, part: str) -> str:
    """What stands after the first occurrence of the part; an empty text when there is none."""
    budget.search(text, as_text(part))
    budget.text(len(text))
    return text.partition(part)[2]


@method(str, name="before_last", examples=[("'a/b/c.txt'.before_last('/')", "a/b")])
def before_last(budget: Budget, text: str, part: str) -> str:
    """What stands before the last occurrence of the part; the whole text when there is none."""
    budget.search_back(text, as_text(part))
    budget.text(len(text))
    found = text.rpartition(part)
    return found[0] if found[1] else text


@method(str, name="after_last", examples=[("'a/b/c.txt'.after_last('/')", "c.txt")])
def after_last(budget: Budget, text: str, part: str) -> str:
    """What stands after the last occurrence of the part; an empty text when there is none."""
    budget.search_back(text, as_text(part))
    budget.text(len(text))
    found = text.rpartition(part)
    return found[2] if found[1] else ""


@method(str, name="between", examples=[("'Order [7] of [9]'.between('[', ']')", "7"), ("'none'.between('[', ']')", "")])
def between(budget: Budget, text: str, start: str, end: str) -> str:
    """What stands between the first `start` and the next `end`; an empty text when there is none."""
    budget.search(text, as_text(start))
    _, found, rest = text.partition(start)
    budget.search(rest, as_text(end))
    budget.text(len(rest))
    inside, closed, _ = rest.partition(end)
    return inside if found and closed else ""


@method(str, name="split", examples=[("'a,b,c'.split(',')", ["a", "b", "c"]), ("' a  b '.split()", ["a", "b"])])
def split(budget: Budget, text: str, separator: str | None = None, limit: int = -1) -> list[str]:
    """The parts between the separators (whitespace when none is given), after at most `limit` cuts."""
    budget.text(len(text))
    if separator is not None:
        budget.search(text, as_text(separator))
    cuts = whole(limit, "limit")
    parts = text.split(separator, ELEMENTS_MAX if cuts < 0 else min(cuts, ELEMENTS_MAX))
    budget.elements(len(parts))
    return parts


@method(str, name="lines", examples=[("'a\\nb\\r\\nc'.lines()", ["a", "b", "c"])])
def lines(budget: Budget, text: str) -> list[str]:
    """The lines of the text, without their line breaks."""
    budget.text(len(text))
    budget.elements(min(_line_breaks(text), ELEMENTS_MAX))
    found = text.splitlines()
    budget.elements(len(found))
    return found


@method(str, name="words", examples=[("'Hello, big  world!'.words()", ["Hello", "big", "world"])])
def words(budget: Budget, text: str) -> list[str]:
    """The words of the text: runs of letters, digits, apostrophes, hyphens and underscores."""
    budget.text(len(text))
    budget.spend(len(text) // 8)
    found = "".join(char if char.isalnum() or char in "'\u2019-_" else " " for char in text).split()
    budget.elements(len(found))
    return found


@method(str, name="characters", examples=[("'añb'.characters()", ["a", "ñ", "b"])])
def characters(budget: Budget, text: str) -> list[str]:
    """The characters of the text, one by one."""
    budget.elements(len(text))
    return list(text)


@method(str, name="join", examples=[("', '.join(['a', 1, None, True])", "a, 1, , true")])
def join(budget: Budget, separator: str, values: object) -> str:
    """The values as one text, with this text between them."""
    return join_values(budget, separator, values)


@method(str, name="concat", examples=[("'sea'.concat('food', ' ', 7)", "seafood 7")])
def concat(budget: Budget, text: str, *others: object) -> str:
    """The text, followed by the others as text."""
    return join_values(budget, "", [text, *others])


@method(str, name="repeat", examples=[("'ab'.repeat(3)", "ababab")])
def repeat(budget: Budget, text: str, times: int) -> str:
    """The text so many times in a row."""
    budget.text(len(text) * max(whole(times, "times"), 0))
    return text * times


@method(str, name="ljust", examples=[("'7'.ljust(3, '.')", "7..")])
def ljust(budget: Budget, text: str, width: int, fill: str = " ") -> str:
    """The text filled up at its end to this width."""
    budget.text(max(whole(width, "width"), len(text)))
    return text.ljust(width, fill)


@method(str, name="rjust", examples=[("'7'.rjust(3, '.')", "..7")])
def rjust(budget: Budget, text: str, width: int, fill: str = " ") -> str:
    """The text filled up at its start to this width."""
    budget.text(max(whole(width, "width"), len(text)))
    return text.rjust(width, fill)


@method(str, name="center", examples=[("'x'.center(3)", " x ")])
def center(budget: Budget, text: str, width: int, fill: str = " ") -> str:
    """The text filled up at both ends to this width."""
    budget.text(max(whole(width, "width"), len(text)))
    return text.center(width, fill)


@method(str, name="zfill", examples=[("'-7'.zfill(4)", "-007")])
def zfill(budget: Budget, text: str, width: int) -> str:
    """The text filled up with zeros at its start, after a sign, to this width."""
    budget.text(max(whole(width, "width"), len(text)))
    return text.zfill(width)


@method(
    str, name="truncate", examples=[("'hello world'.truncate(6)", "hello…"), ("'hello'.truncate(4, '...')", "h...")]
)
def truncate(budget: Budget, text: str, chars: int, end: str = "…") -> str:
    """The text cut to at most so many characters, with `end` where it was cut."""
    if len(text) <= whole(chars, "chars", low=0):
        return text
    budget.text(chars)
    return text[: max(chars - len(as_text(end)), 0)] + end[:chars]


@method(str, name="truncate_words", examples=[("'The quick brown fox'.truncate_words(2)", "The quick…")])
def truncate_words(budget: Budget, text: str, count: int, end: str = "…") -> str:
    """The first so many words, with `end` where the text was cut."""
    budget.text(len(text) + len(as_text(end)))
    parts = text.split(None, min(whole(count, "count", low=0), ELEMENTS_MAX))
    budget.elements(len(parts))
    return text if len(parts) <= count else " ".join(parts[:count]) + end


@method(str, name="squeeze", examples=[("'  a \\n b\\t c '.squeeze()", "a b c")])
def squeeze(budget: Budget, text: str) -> str:
    """The text with every run of whitespace made one space, and none at the ends."""
    budget.text(len(text) * 2)
    return " ".join(text.split())


@method(str, name="wrap", examples=[("'the quick brown fox'.wrap(10)", ["the quick", "brown fox"])])
def wrap(budget: Budget, text: str, width: int) -> list[str]:
    """Lines of at most so many characters, broken between words."""
    chars, size = whole(width, "width", low=1, high=10_000), len(text) + text.count("\t") * (TAB_CHARS - 1)
    budget.text(size)
    budget.spend(size + size**2 // (chars * COPIED_A_STEP))
    made = textwrap.wrap(text, chars)
    budget.elements(len(made))
    return made


@method(str, name="indent", examples=[("'a\\nb'.indent('  ')", "  a\n  b")])
def indent(budget: Budget, text: str, prefix: str) -> str:
    """The text with the prefix before each of its lines that is not empty."""
    breaks = _line_breaks(text)
    budget.text(len(text) + (breaks + 1) * len(as_text(prefix)))
    budget.spend(breaks)
    return textwrap.indent(text, prefix)


@method(str, name="reverse", examples=[("'abc'.reverse()", "cba")])
def reverse(budget: Budget, text: str) -> str:
    """The text backwards."""
    budget.text(len(text))
    return text[::-1]


@method(str, name="insert_at", examples=[("'12345678'.insert_at(4, '-')", "1234-5678")])
def insert_at(budget: Budget, text: str, index: int, part: str) -> str:
    """The text with a part put in before this index."""
    budget.text(len(text) + len(as_text(part)))
    return text[: whole(index, "index")] + part + text[index:]


@method(str, name="mask", examples=[("'4111111111111111'.mask(4)", "************1111")])
def mask(budget: Budget, text: str, keep: int = 4, sign: str = "*") -> str:
    """The text with all but its last characters replaced by a sign."""
    hidden = max(len(text) - whole(keep, "keep", low=0), 0)
    budget.text(len(text) + hidden * len(as_text(sign)))
    return sign * hidden + text[hidden:]


@method(str, name="length", examples=[("'añb'.length()", 3)])
def length(budget: Budget, text: str) -> int:
    """How many characters the text has."""
    return len(text)


@method(str, name="code_at", examples=[("'A€'.code_at(1)", 8364)])
def code_at(budget: Budget, text: str, index: int = 0) -> int:
    """The number of the character at this index in Unicode."""
    if not -len(text) <= whole(index, "index") < len(text):
        raise Fault(f"a text of {len(text)} has no character at {index}")
    return ord(text[index])


@function("str", examples=[("str(None), str(True), str([1, 'a'])", ["", "true", '[1,"a"]'])])
def to_text(budget: Budget, value: object = "") -> str:
    """The value as text: None is empty, bools are true and false, lists and dicts are JSON, times ISO 8601."""
    return text_of(budget, value)


@function("character", examples=[("character(8364)", "€")])
def character(budget: Budget, code: int) -> str:
    """The character that has this number in Unicode."""
    return chr(whole(code, "code", low=0, high=0x10FFFF))


def join_values(budget: Budget, separator: str, values: object) -> str:
    """The values as texts with the separator between them; for `text.join` and `list.join`."""
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise Fault("join needs a list")
    texts: list[str] = []
    total = len(as_text(separator)) * len(values)
    for value in listed(budget, values):
        made = text_of(budget, value)
        total += len(made)
        if total > budget.steps * 64:
            budget.text(total)
        texts.append(made)
    budget.text(total)
    return separator.join(texts)


def _line_breaks(text: str) -> int:
    return sum(map(text.count, LINE_BREAKS))


def _strip_start(budget: Budget, text: str, chars: str | None) -> str:
    budget.text(len(text))
    budget.scan(len(text) * (0 if chars is None else len(as_text(chars))))
    return text.lstrip(chars)


def _strip_end(budget: Budget, text: str, chars: str | None) -> str:
    budget.text(len(text))
    budget.scan(len(text) * (0 if chars is None else len(as_text(chars))))
    return text.rstrip(chars)
