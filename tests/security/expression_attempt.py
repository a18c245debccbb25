"""An attempt: a text that an author could write as a parameter, and what must come of it."""

from dataclasses import dataclass

INVALID, FAILED, BUDGET = "expression.invalid", "expression.failed", "expression.budget_exceeded"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A text as it stands in a parameter: it ends with the error `code`, or without one is only data, `value`."""

    name: str
    text: str
    code: str | None = None
    value: object = None


def tried(family: str, code: str, *expressions: str) -> tuple[Attempt, ...]:
    """Attempts that are expressions, without their braces."""
    return texts(family, code, *(f"{{{{ {expression} }}}}" for expression in expressions))


def texts(family: str, code: str, *whole: str) -> tuple[Attempt, ...]:
    """Attempts that are whole texts."""
    return tuple(Attempt(f"{family}: {text[:60]!a}", text, code) for text in whole)


def data(family: str, *known: tuple[str, object]) -> tuple[Attempt, ...]:
    """Texts that only look like attempts, with their values."""
    return tuple(Attempt(f"{family}: {text[:60]!a}", text, value=value) for text, value in known)
