"""Reading datetimes in the common formats; writing them by strftime directives, or by tokens such as `yyyy-MM-dd`."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

from budflow.expressions.budget import Fault
from budflow.expressions.formats import PATTERN_CHARS_MAX, format_time, parse_time
from budflow.expressions.suggest import shorten

READ_CHARS_MAX = 100  # Of a text that is read as a datetime.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CENTURY_ENDS = 69  # A year of two digits below is of the 21st century, as POSIX has it.

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FILLING = frozenset({"of", "at", "on", "the", "t", "de", "uhr"})
ZONES: Mapping[str, int] = MappingProxyType(  # In hours; those of RFC 2822 and the European ones.
    {
        "z": 0,
        "utc": 0,
        "gmt": 0,
        "ut": 0,
        "est": -5,
        "edt": -4,
        "cst": -6,
        "cdt": -5,
        "mst": -7,
        "mdt": -6,
        "pst": -8,
        "pdt": -7,
        "cet": 1,
        "cest": 2,
        "wet": 0,
        "west": 1,
        "eet": 2,
        "eest": 3,
        "bst": 1,
    }
)
CLOCK = re.compile(r"(?<!\d)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([ap])\.?m\b\.?)?", re.I | re.A)
HOUR = re.compile(r"(?<!\d)(\d{1,2})\s*([ap])\.?m\b\.?", re.I | re.A)
OFFSET = re.compile(r"(?:\b(?:utc|gmt))?\s*([+-])(\d{2}):?(\d{2})$", re.I | re.A)
NAMED = re.compile(r"\s*\b([a-z]{1,4})$", re.I | re.A)
COMMENT = re.compile(r"\([^()]*\)$")
PIECE = re.compile(r"\d+|[^\W\d_]+")
TOKEN = re.compile(r"'[^']*'|do|y+|M+|L+|d+|H+|h+|m+|s+|S+|a|E+|c+|o+|q|W+|k+|Z+|z|X|x|.", re.S)


def read_time(text: str, *, day_first: bool = False) -> datetime | None:
    """The datetime in one of the common formats, naive when it names no zone; None when it is none."""
    text = text.strip()
    if not text or len(text) > READ_CHARS_MAX:
        return None
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return EPOCH + timedelta(seconds=int(text)) if len(text) == 10 else EPOCH + timedelta(milliseconds=int(text))
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return _read(text, day_first)
    except (ValueError, OverflowError):
        return None


def is_time(text: str) -> bool:
    """Whether `read_time` reads it, epoch seconds aside."""
    return len(text) <= READ_CHARS_MAX and not text.strip().isdigit() and read_time(text) is not None


def read_by_pattern(text: str, pattern: str) -> datetime:
    """The datetime by strptime directives when there is a `%`, else by tokens."""
    if type(pattern) is str and "%" not in pattern and len(pattern) <= PATTERN_CHARS_MAX:
        pattern = "".join(_directive(token) for token in TOKEN.findall(pattern))
    return parse_time(text, pattern)


def write_time(moment: datetime, pattern: str) -> str:
    """The datetime by strftime directives when there is a `%`, else by tokens."""
    if type(pattern) is not str or "%" in pattern or len(pattern) > PATTERN_CHARS_MAX:
        return format_time(moment, pattern)
    made: list[str] = []
    for token in TOKEN.findall(pattern):
        if token[0] == "'" and len(token) > 1:
            made.append(token[1:-1] or "'")
        else:
            written = TOKENS.get(token)
            if written is None and token[0].isalpha():
                raise Fault(
                    f"{shorten(token, 20)!r} is not a time token",
                    "Tokens are such as yyyy-MM-dd HH:mm:ss; quote words, as in \"dd 'of' MMMM\".",
                )
            made.append(token if written is None else written(moment))
    return "".join(made)


def offset_of(moment: datetime, separator: str) -> str:
    """The offset from UTC, such as `+01:00`; a datetime without a zone counts as UTC."""
    minutes = round((moment.utcoffset() or timedelta()).total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{separator}{abs(minutes) % 60:02}"


def ordinal(number: int) -> str:
    """The number with its English ending: 1st, 2nd, 3rd, 4th."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def zone_name(moment: datetime) -> str:
    """The name of the zone, such as `Europe/Berlin`."""
    return str(moment.tzinfo) if moment.tzinfo else "UTC"


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


TOKENS: Mapping[str, Callable[[datetime], str]] = MappingProxyType(
    {
        "y": lambda t: str(t.year),
        "yy": lambda t: f"{t.year % 100:02}",
        "yyyy": lambda t: f"{t.year:04}",
        **{
            letter * count: made
            for letter in "ML"
            for count, made in enumerate(
                (
                    lambda t: str(t.month),
                    lambda t: f"{t.month:02}",
                    lambda t: t.strftime("%b"),
                    lambda t: t.strftime("%B"),
                ),
                1,
            )
        },
        "d": lambda t: str(t.day),
        "dd": lambda t: f"{t.day:02}",
        "do": lambda t: ordinal(t.day),
        "o": lambda t: str(t.timetuple().tm_yday),
        "ooo": lambda t: f"{t.timetuple().tm_yday:03}",
        "H": lambda t: str(t.hour),
        "HH": lambda t: f"{t.hour:02}",
        "h": lambda t: str((t.hour - 1) % 12 + 1),
        "hh": lambda t: f"{(t.hour - 1) % 12 + 1:02}",
        "m": lambda t: str(t.minute),
        "mm": lambda t: f"{t.minute:02}",
        "s": lambda t: str(t.second),
        "ss": lambda t: f"{t.second:02}",
        "S": lambda t: str(t.microsecond // 1000),
        "SSS": lambda t: f"{t.microsecond // 1000:03}",
        "SSSSSS": lambda t: f"{t.microsecond:06}",
        "a": lambda t: "AM" if t.hour < 12 else "PM",
        "E": lambda t: str(t.isoweekday()),
        "c": lambda t: str(t.isoweekday()),
        "EEE": lambda t: t.strftime("%a"),
        "ccc": lambda t: t.strftime("%a"),
        "EEEE": lambda t: t.strftime("%A"),
        "cccc": lambda t: t.strftime("%A"),
        "q": lambda t: str((t.month + 2) // 3),
        "W": lambda t: str(t.isocalendar().week),
        "WW": lambda t: f"{t.isocalendar().week:02}",
        "kkkk": lambda t: f"{t.isocalendar().year:04}",
        "Z": lambda t: offset_of(t, ":").replace(":00", "").replace("+0", "+").replace("-0", "-"),
        "ZZ": lambda t: offset_of(t, ":"),
        "ZZZ": lambda t: offset_of(t, ""),
        "ZZZZ": lambda t: t.tzname() or "UTC",
        "z": zone_name,
        "X": lambda t: str((_utc(t) - EPOCH) // timedelta(seconds=1)),
        "x": lambda t: str((_utc(t) - EPOCH) // timedelta(milliseconds=1)),
    }
)
DIRECTIVES: Mapping[str, str] = MappingProxyType(
    {
        "yyyy": "%Y",
        "yy": "%y",
        "y": "%Y",
        "M": "%m",
        "MM": "%m",
        "MMM": "%b",
        "MMMM": "%B",
        "L": "%m",
        "LL": "%m",
        "LLL": "%b",
        "LLLL": "%B",
        "d": "%d",
        "dd": "%d",
        "H": "%H",
        "HH": "%H",
        "h": "%I",
        "hh": "%I",
        "m": "%M",
        "mm": "%M",
        "s": "%S",
        "ss": "%S",
        "SSS": "%f",
        "SSSSSS": "%f",
        "a": "%p",
        "EEE": "%a",
        "EEEE": "%A",
        "ZZ": "%z",
        "ZZZ": "%z",
        "ooo": "%j",
    }
)


def _directive(token: str) -> str:
    if token[0] == "'" and len(token) > 1:
        return token[1:-1] or "'"
    if token[0].isalpha() and token not in DIRECTIVES:
        raise Fault(
            f"{shorten(token, 20)!r} is not a time token that is read", "Tokens are such as yyyy-MM-dd HH:mm:ss."
        )
    return DIRECTIVES.get(token, token)


def _read(text: str, day_first: bool) -> datetime | None:
    text = COMMENT.sub("", text).strip()
    text, zone = _take_zone(text)
    text, clock = _take_clock(text)
    pieces = [piece.lower() for piece in PIECE.findall(text)]
    words = [piece for piece in pieces if piece.isalpha()]
    months = [MONTHS.index(word[:3]) + 1 for word in words if _names(word, MONTHS)]
    if any(not (_names(word, MONTHS) or _names(word, DAYS) or word in FILLING or word in ENDINGS) for word in words):
        return None
    numbers = [piece for piece in pieces if piece.isdigit()]
    if len(months) > 1 or len(months) + len(numbers) > 3:
        return None
    day = _named_day(months[0], numbers) if months else _numbered_day(text, numbers, day_first)
    return None if day is None else datetime(*day, *clock, tzinfo=zone)


def _names(word: str, known: tuple[str, ...]) -> bool:
    return (word[:3] in known and FULL_NAMES[word[:3]].startswith(word)) or word == "sept"


def _take_zone(text: str) -> tuple[str, timezone | None]:
    if ":" not in text and not re.search(r"\d\s*[ap]m", text, re.I):
        return text, None  # A zone follows a time of day: `2026-01-31` ends in no offset.
    found = OFFSET.search(text)
    if found and ":" in text[: found.start()]:
        minutes = int(found[2]) * 60 + int(found[3])
        return text[: found.start()], timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    named = NAMED.search(text)
    if named and named[1].lower() in ZONES:
        return text[: named.start()], timezone(timedelta(hours=ZONES[named[1].lower()]))
    return text, None


def _take_clock(text: str) -> tuple[str, tuple[int, int, int, int]]:
    found = CLOCK.search(text)
    if found:
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        micro = int((found[4] or "0")[:6].ljust(6, "0"))
        half = found[5]
    elif found := HOUR.search(text):
        hour, minute, second, micro, half = int(found[1]), 0, 0, 0, found[2]
    else:
        return text, (0, 0, 0, 0)
    if half:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of a clock with two halves")
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    return f"{text[: found.start()]} {text[found.end() :]}", (hour, minute, second, micro)


def _named_day(month: int, numbers: list[str]) -> tuple[int, int, int] | None:
    if len(numbers) == 1 and len(numbers[0]) == 4:
        return int(numbers[0]), month, 1
    if len(numbers) != 2:
        return None
    day, year = (numbers[1], numbers[0]) if len(numbers[0]) == 4 else (numbers[0], numbers[1])
    return _year(year), month, int(day)


def _numbered_day(text: str, numbers: list[str], day_first: bool) -> tuple[int, int, int] | None:
    if len(numbers[:1]) and len(numbers[0]) == 4 and len(numbers) in (1, 2, 3):
        rest = [int(number) for number in numbers[1:]] + [1, 1]
        return int(numbers[0]), rest[0], rest[1]
    if len(numbers) != 3 or max(map(len, numbers)) > 4:
        return None
    first, second, year = int(numbers[0]), int(numbers[1]), _year(numbers[2])
    month_first = (first <= 12 and not (day_first or "." in text)) or second > 12
    return (year, first, second) if month_first else (year, second, first)


def _year(digits: str) -> int:
    year = int(digits)
    if len(digits) > 2:
        return year
    return year + (2000 if year < CENTURY_ENDS else 1900)


ENDINGS = frozenset({"st", "nd", "rd", "th"})
FULL_NAMES: Mapping[str, str] = MappingProxyType(
    {
        name[:3]: name
        for name in (
            *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
            *("november", "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        )
    }
)
