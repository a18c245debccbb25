"""Numbers: roots, logarithms, angles and divisors."""

import math

from budflow.expressions.arguments import number as as_number, whole
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.values import within_bits

FACTORIAL_MAX = 400  # Whose factorial has 2,887 bits.


@method(int, float, name="sqrt", examples=[("(9).sqrt()", 3.0)])
def sqrt(budget: Budget, number: float) -> float:
    """The square root."""
    if as_number(number) < 0:
        raise Fault("a root of a negative number is not a real number")
    return math.sqrt(number)


@method(int, float, name="log", examples=[("(8).log(2)", 3.0), ("(1).log()", 0.0)])
def log(budget: Budget, number: float, base: float | None = None) -> float:
    """The logarithm, natural unless there is a base."""
    if as_number(number) <= 0 or (base is not None and (as_number(base, "base") <= 0 or base == 1)):
        raise Fault("a logarithm needs a number above zero, and a base above zero that is not one")
    if base in (2, 10):
        return math.log2(number) if base == 2 else math.log10(number)
    return math.log(number) if base is None else math.log(number, base)


@method(int, float, name="exp", examples=[("(0).exp()", 1.0)])
def exp(budget: Budget, number: float) -> float:
    """E to the power of the number."""
    return math.exp(as_number(number))


@method(int, float, name="percent_of", examples=[("(30).percent_of(120)", 25.0)])
def percent_of(budget: Budget, number: float, total: float) -> float:
    """How many per cent of the total the number is."""
    return as_number(number) / as_number(total, "total") * 100


@method(int, float, name="percent_change", examples=[("(80).percent_change(100)", 25.0)])
def percent_change(budget: Budget, number: float, new: float) -> float:
    """By how many per cent the new number is more than this one."""
    return (as_number(new, "new") - number) / abs(as_number(number)) * 100


@method(int, name="gcd", examples=[("(12).gcd(18)", 6)])
def gcd(budget: Budget, number: int, other: int) -> int:
    """The greatest whole number that goes into both."""
    budget.spend(whole(other).bit_length())
    return math.gcd(int(within_bits(number)), int(within_bits(other)))  # type: ignore[call-overload]  # ints, as they were


@method(int, name="lcm", examples=[("(4).lcm(6)", 12)])
def lcm(budget: Budget, number: int, other: int) -> object:
    """The smallest whole number both go into."""
    budget.spend(whole(other).bit_length())
    return within_bits(math.lcm(int(within_bits(number)), int(within_bits(other))))  # type: ignore[call-overload]  # as above


@method(int, name="factorial", examples=[("(5).factorial()", 120)])
def factorial(budget: Budget, number: int) -> int:
    """The product of the whole numbers up to this one, which may be 400 at most."""
    budget.spend(whole(number, "the number", low=0, high=FACTORIAL_MAX))
    return math.factorial(number)


@method(int, float, name="radians", examples=[("(180).radians().round(4)", 3.1416)])
def radians(budget: Budget, number: float) -> float:
    """The angle in radians, from degrees."""
    return math.radians(as_number(number))


@method(int, float, name="degrees", examples=[("pi().degrees()", 180.0)])
def degrees(budget: Budget, number: float) -> float:
    """The angle in degrees, from radians."""
    return math.degrees(as_number(number))


@method(int, float, name="sin", examples=[("(0).sin()", 0.0)])
def sin(budget: Budget, number: float) -> float:
    """The sine of the angle in radians."""
    return math.sin(as_number(number))


@method(int, float, name="cos", examples=[("(0).cos()", 1.0)])
def cos(budget: Budget, number: float) -> float:
    """The cosine of the angle in radians."""
    return math.cos(as_number(number))


@method(int, float, name="tan", examples=[("(0).tan()", 0.0)])
def tan(budget: Budget, number: float) -> float:
    """The tangent of the angle in radians."""
    return math.tan(as_number(number))


@method(int, float, name="atan2", examples=[("(1).atan2(1).degrees()", 45.0)])
def atan2(budget: Budget, number: float, x: float) -> float:
    """The angle in radians of the point at x, and at this number as its y."""
    return math.atan2(as_number(number), as_number(x, "x"))


@function("pi", examples=[("pi().round(4)", 3.1416)])
def pi(budget: Budget) -> float:
    """The ratio of a circle's circumference to its diameter."""
    return math.pi


@function("divmod", examples=[("divmod(17, 5)", [3, 2])])
def divmod_function(budget: Budget, number: float, divisor: float) -> tuple[float, float]:
    """The whole quotient and the rest."""
    within_bits(number)
    return divmod(as_number(number), as_number(divisor, "divisor"))


@function("hypot", examples=[("hypot(3, 4)", 5.0)])
def hypot(budget: Budget, x: float, y: float) -> float:
    """The length of the hypotenuse."""
    return math.hypot(as_number(x, "x"), as_number(y, "y"))


@function(
    "distance_km",
    examples=[("distance_km(52.52, 13.405, 48.8566, 2.3522).round()", 877)],
)
def distance_km(budget: Budget, latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """The distance of two points on Earth in kilometres, from their degrees of latitude and longitude."""
    here, there = math.radians(as_number(latitude)), math.radians(as_number(to_latitude))
    east = math.radians(as_number(to_longitude) - as_number(longitude))
    half = math.sin((there - here) / 2) ** 2 + math.cos(here) * math.cos(there) * math.sin(east / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(min(max(half, 0.0), 1.0)))
