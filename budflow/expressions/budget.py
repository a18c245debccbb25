"""What one evaluation may cost: the limits of expressions and the counter every hook and function charges."""

STEPS_MAX = 100_000  # Of one evaluation: loop rounds, calls, and the work below converted into steps.
TEXT_CHARS_MAX = 1_048_576  # Of any one text an expression builds.
ELEMENTS_MAX = 100_000  # Of any one list, set or dict an expression builds.
INT_BITS_MAX = 4_096
NESTING_DEPTH_MAX = 100  # Of data that is compared, rendered or returned.
RESULT_CHARS_MAX = 16_777_216  # Of a built result, counted as if written out: shared parts count each time.
CHARS_A_STEP = 64
SCANNED_CHARS_A_STEP = 1_024  # A plain scan is a memchr; building or comparing deeply is not.
ELEMENTS_A_STEP = 8
NEEDLE_CHARS_QUADRATIC_MAX = 100  # Below these two, CPython searches text in O(n * m) at worst.
HAYSTACK_CHARS_QUADRATIC_MAX = 30_000


class Fault(Exception):
    """An operation inside an expression failed; becomes an ExpressionFailed that names the expression.

    Never leaves this package.
    """

    def __init__(self, message: str, hint: str = "", *, over_budget: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.over_budget = over_budget


class Budget:
    """The steps one evaluation has left; shared by every expression of a template."""

    __slots__ = ("steps",)

    def __init__(self, steps: int = STEPS_MAX) -> None:
        self.steps = steps

    def spend(self, steps: int) -> None:
        """Take steps off; raises Fault when none are left."""
        self.steps -= steps
        if self.steps < 0:
            raise out_of_steps()

    def text(self, chars: int) -> None:
        """Charge a text of this many characters before it is built."""
        if chars > TEXT_CHARS_MAX:
            raise too_large(f"a text of {chars:,} characters", f"{TEXT_CHARS_MAX:,} characters")
        self.spend(chars // CHARS_A_STEP)

    def elements(self, count: int) -> None:
        """Charge a list, set or dict of this many elements before it is built."""
        if count > ELEMENTS_MAX:
            raise too_large(f"a list of {count:,} elements", f"{ELEMENTS_MAX:,} elements")
        self.spend(count // ELEMENTS_A_STEP)

    def scan(self, chars: int) -> None:
        """Charge reading through this many characters once."""
        self.spend(chars // SCANNED_CHARS_A_STEP)

    def search(self, haystack: str, needle: str) -> None:
        """Charge finding one text in another, by the worst case of CPython's `str.find`."""
        chars, needle_chars = len(haystack), len(needle)
        if chars < HAYSTACK_CHARS_QUADRATIC_MAX and needle_chars < NEEDLE_CHARS_QUADRATIC_MAX:
            self.scan(chars * max(needle_chars, 1))
        else:
            self.scan(chars * 6 + needle_chars)

    def search_back(self, haystack: str, needle: str) -> None:
        """Charge finding from the right, which CPython does in O(n * m) at any size."""
        self.scan(len(haystack) * max(min(len(needle), len(haystack) - len(needle) + 1), 1))


def out_of_steps() -> Fault:
    """The fault of an evaluation that took too long."""
    return Fault(
        f"it took more than {STEPS_MAX:,} steps",
        "Do less in one expression: loop over fewer elements, or use a code node.",
        over_budget=True,
    )


def too_large(what: str, limit: str) -> Fault:
    """The fault of a value that would grow past its limit."""
    return Fault(f"it would build {what}; the limit is {limit}", "Build large values in a code node.", over_budget=True)
