"""The root of every error a caller can act on: a stable code, a message and a hint.

Each subclass stands beside what raises it.
"""

from typing import Any, ClassVar


class BudflowError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    hint: str = ""

    def __init__(self, message: str | None = None, *, hint: str | None = None, **details: Any) -> None:
        """`message` defaults to the first line of the docstring; `details` are public: never put a secret there."""
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        if hint is not None:
            self.hint = hint
        self.details = details
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process boundaries (Ray, the process pool); the default would lose hint and details.
        return (_rebuild, (type(self), self.message, self.hint, self.details))


def _rebuild(kind: type[BudflowError], message: str, hint: str, details: dict[str, Any]) -> BudflowError:
    return kind(message, hint=hint, **details)
