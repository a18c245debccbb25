"""What one check of `budflow doctor` found."""

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `hint` says what to do where something is to be done."""

    subject: str
    level: Level
    message: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """The shape for programs."""
        return {"subject": self.subject, "level": self.level, "message": self.message, "hint": self.hint}
