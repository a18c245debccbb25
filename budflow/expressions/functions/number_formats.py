"""Numbers: writing them as people read them."""

from budflow.expressions.arguments import number as as_number, text as as_text, whole
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import method
from budflow.expressions.formats import format_number
from budflow.expressions.time_formats import ordinal as ordinal_of
from budflow.expressions.values import within_bits

DECIMALS_MAX = 30
SIGN_CHARS_MAX = 10
BYTE_UNITS = ("B", "KB", "MB", "GB", "TB", "PB", "EB")
BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
COMPACT = ("", "K", "M", "B", "T")
ROMAN = tuple(
    zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"),
        strict=True,
    )
)
ROMAN_MAX = 3_999
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@method(int, float, name="format", examples=[("(1234.5).format(',.2f')", "1,234.50"), ("(7).format('03d')", "007")])
def format_method(budget: Budget, number: float, pattern: str) -> str:
    """The number as text by Python's format language, such as `,.2f` or `05d`."""
    return format_number(budget, number, pattern)


@method(
    *(int, float),
    name="format_number",
    examples=[
        ("(1234567.891).format_number(2)", "1,234,567.89"),
        ("(1234567.891).format_number(2, '.', ',')", "1.234.567,89"),
    ],
)
def format_grouped(budget: Budget, number: float, decimals: int = 0, thousands: str = ",", decimal: str = ".") -> str:
    """The number with so many digits after the point, and thousands apart, by the signs of a country."""
    return _grouped(number, decimals, thousands, decimal)


@method(
    *(int, float),
    name="format_currency",
    examples=[
        ("(1234.5).format_currency('$')", "$1,234.50"),
        ("(-1234.5).format_currency('€', '.', ',', after=True)", "-1.234,50 €"),
    ],
)
def format_currency(
    budget: Budget, number: float, sign: str, thousands: str = ",", decimal: str = ".", after: bool = False
) -> str:
    """The amount with two digits after the point and the sign of a currency before it, or after it."""
    if len(as_text(sign, "sign")) > SIGN_CHARS_MAX:
        raise Fault(f"the sign has at most {SIGN_CHARS_MAX} characters")
    amount = _grouped(abs(number), 2, thousands, decimal)
    return f"{'-' if number < 0 else ''}{f'{amount} {sign}' if after else f'{sign}{amount}'}"


@method(int, float, name="format_percent", examples=[("(0.1234).format_percent(1)", "12.3%")])
def format_percent(budget: Budget, number: float, decimals: int = 0) -> str:
    """The share as per cent: 0.5 is 50%."""
    return f"{_grouped(as_number(number) * 100, decimals, '', '.')}%"


@method(
    *(int, float),
    name="format_bytes",
    examples=[("(1536000).format_bytes()", "1.5 MB"), ("(1024).format_bytes(binary=True)", "1 KiB")],
)
def format_bytes(budget: Budget, number: float, decimals: int = 1, binary: bool = False) -> str:
    """The number of bytes in the unit that fits, by thousands (KB) or by 1,024 (KiB)."""
    step, units = (1024, BINARY_UNITS) if binary else (1000, BYTE_UNITS)
    return _scaled(number, decimals, step, units, " ")


@method(
    int,
    float,
    name="format_compact",
    examples=[("(1234567).format_compact()", "1.2M"), ("(950).format_compact()", "950")],
)
def format_compact(budget: Budget, number: float, decimals: int = 1) -> str:
    """The number shortened by K, M, B or T."""
    return _scaled(number, decimals, 1000, COMPACT, "")


@method(int, name="ordinal", examples=[("(1).ordinal(), (12).ordinal(), (23).ordinal()", ["1st", "12th", "23rd"])])
def ordinal(budget: Budget, number: int) -> str:
    """The number as an English ordinal."""
    return ordinal_of(abs(whole(number, high=10**15, low=-(10**15))))


@method(int, name="to_roman", examples=[("(2026).to_roman()", "MMXXVI")])
def to_roman(budget: Budget, number: int) -> str:
    """The number in Roman numerals, from 1 to 3,999."""
    left = whole(number, "the number", low=1, high=ROMAN_MAX)
    made = ""
    for value, sign in ROMAN:
        count, left = divmod(left, value)
        made += sign * count
    return made


@method(int, name="to_base", examples=[("(255).to_base(16), (5).to_base(2), (-35).to_base(36)", ["ff", "101", "-z"])])
def to_base(budget: Budget, number: int, base: int) -> str:
    """The whole number written in a base from 2 to 36."""
    radix = whole(base, "base", low=2, high=36)
    left, made = abs(int(within_bits(number))), []  # type: ignore[call-overload]  # an int, as it was
    budget.spend(left.bit_length())
    while left:
        left, digit = divmod(left, radix)
        made.append(DIGITS[digit])
    return ("-" if number < 0 else "") + ("".join(reversed(made)) or "0")


def _grouped(number: float, decimals: int, thousands: str, decimal: str) -> str:
    places = whole(decimals, "decimals", low=0, high=DECIMALS_MAX)
    if len(as_text(thousands, "thousands")) > 1 or len(as_text(decimal, "decimal")) > 1:
        raise Fault("thousands and decimal are one character each")
    written = f"{within_bits(as_number(number)):,.{places}f}"
    return written.translate({ord(","): thousands, ord("."): decimal})


def _scaled(number: float, decimals: int, step: int, units: tuple[str, ...], gap: str) -> str:
    size, unit = float(as_number(number)), 0
    places = whole(decimals, "decimals", low=0, high=DECIMALS_MAX)
    while unit + 1 < len(units) and round(abs(size), places) >= step:
        size /= step
        unit += 1
    written = f"{size:.{places}f}"
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return f"{written}{gap}{units[unit]}"
