"""What one evaluation may cost: the limits of expressions and the counter every hook and function charges."""

import gc
from collections.abc import Mapping
from time import thread_time_ns
from typing import Protocol

STEPS_MAX = 100_000  # Of one evaluation: loop rounds, calls, and the work below converted into steps.
MILLISECONDS_MAX = 30  # Of a processor, of one evaluation. Nobody looks at a clock for the first steps.
STEPS_UNTIMED = 200
STEPS_A_LOOK = 500  # At the clock.
COLLECTING_NS_MIN = 2_000_000  # What is less between two looks is no full collection worth mentioning.
TEXT_CHARS_MAX = 1_048_576  # Of any one text an expression builds.
ELEMENTS_MAX = 100_000  # Of any one list, set or dict an expression builds.
INT_BITS_MAX = 4_096
NESTING_DEPTH_MAX = 100  # Of data that is compared, rendered or returned.
RESULT_CHARS_MAX = 16_777_216  # Of a built result, counted as if written out: shared parts count each time.
CHARS_A_STEP = 64
SCANNED_CHARS_A_STEP = 1_024  # A plain scan is a memchr; building or comparing deeply is not.
ELEMENTS_A_STEP = 8
TIMED_FROM = STEPS_MAX - STEPS_UNTIMED  # So many steps left.
NEEDLE_CHARS_QUADRATIC_MAX = 100  # Below these two, CPython searches text in O(n * m) at worst.
HAYSTACK_CHARS_QUADRATIC_MAX = 30_000


#: Beside the `$names` a scope has what random values derive from: no expression can write a name that begins so.
SEED = "_seed"


class Fault(Exception):
    """An operation inside an expression failed; becomes an ExpressionFailed that names the expression.

    Never leaves this package.
    """

    def __init__(self, message: str, hint: str = "", *, over_budget: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.over_budget = over_budget


class Surroundings(Protocol):
    """What a function may know of the evaluation around it: a Scope is one."""

    index: int
    names: Mapping[str, object]
    draws: int  # Random values drawn so far; each draw counts it up.


class Budget:
    """The steps one evaluation has left; shared by every expression of a template.

    `around` is the scope that is evaluated: functions read `$now` there, and what random values derive from. Steps are
    the measure, since they are the same wherever an expression is evaluated; the time is the second line, of the
    processor and not of the day, so that a loaded machine takes no part in it.
    """

    __slots__ = ("_collections", "_end", "_looked", "around", "next_look", "steps")
    _collections: int  # These four most evaluations never need: they are not even cleared.
    _end: int
    _looked: int
    next_look: int

    def __init__(self, steps: int = STEPS_MAX, around: Surroundings | None = None) -> None:
        self.steps = steps
        self.around = around

    def spend(self, steps: int) -> None:
        """Take steps off; raises Fault when none are left."""
        self.steps -= steps
        if self.steps < TIMED_FROM:
            self._count()

    def look(self) -> None:
        """Raise Fault when the time is up; for work that has been charged, or will be, as a whole."""
        now = thread_time_ns()
        try:
            since, self._looked = now - self._looked, now
        except AttributeError:
            self._looked, self._collections = now, full_collections()
            self._end = now + MILLISECONDS_MAX * 1_000_000
            self.next_look = self.steps - STEPS_A_LOOK
            return
        if since > COLLECTING_NS_MIN and self._collections != (collections := full_collections()):
            # The garbage of a whole process is looked through in whatever thread it is that makes the next object.
            self._collections = collections
            self._end += since
        if now >= self._end:
            raise out_of_time()

    def _count(self) -> None:
        if self.steps < 0:
            raise out_of_steps()
        try:
            if self.steps > self.next_look:
                return
        except AttributeError:
            pass
        self.look()
        self.next_look = self.steps - STEPS_A_LOOK

    def text(self, chars: int) -> None:
        """Charge a text of this many characters before it is built."""
        if chars > TEXT_CHARS_MAX:
            raise too_large(f"a text of {chars:,} characters", f"{TEXT_CHARS_MAX:,} characters")
        if chars > 0:  # Less than nothing would give steps back.
            self.spend(chars // CHARS_A_STEP)

    def elements(self, count: int) -> None:
        """Charge a list, set or dict of this many elements before it is built."""
        if count > ELEMENTS_MAX:
            raise too_large(f"a list of {count:,} elements", f"{ELEMENTS_MAX:,} elements")
        if count > 0:  # As above.
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


def full_collections() -> int:
    """How often the garbage collector has looked through everything there is."""
    return int(gc.get_stats()[-1]["collections"])


def out_of_steps() -> Fault:
    """The fault of an evaluation that took too long."""
    return Fault(
        f"it took more than {STEPS_MAX:,} steps",
        "Do less in one expression: loop over fewer elements, or use a code node.",
        over_budget=True,
    )


def out_of_time() -> Fault:
    """The fault of an evaluation that took too long although it had steps left."""
    return Fault(
        f"it took more than {MILLISECONDS_MAX} ms",
        "Do less in one expression: loop over fewer elements, or use a code node.",
        over_budget=True,
    )


def too_large(what: str, limit: str) -> Fault:
    """The fault of a value that would grow past its limit."""
    return Fault(f"it would build {what}; the limit is {limit}", "Build large values in a code node.", over_budget=True)
