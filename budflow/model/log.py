"""What nodes log: lines in the journal of their execution, which its logs show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from budflow.model.item import Json

Level = Literal["debug", "info", "warning", "error"]


class LogCapability(Protocol):
    """Lines for those who look into what an execution did. Each method returns at once and never raises.

    `fields` are any values: what is no JSON is written as text. What is too long is cut, what is too much is dropped
    and counted, secrets of the node's credentials become `***`, and nothing is kept that comes after the node's end.
    """

    def debug(self, message: str, /, **fields: Any) -> None:
        """What only somebody wants to know who looks for a fault in the workflow."""
        ...

    def info(self, message: str, /, **fields: Any) -> None:
        """What happened."""
        ...

    def warning(self, message: str, /, **fields: Any) -> None:
        """What may be wrong, though the node goes on."""
        ...

    def error(self, message: str, /, **fields: Any) -> None:
        """What is wrong, whether the node fails of it or not."""
        ...

    def for_item(self, index: int) -> "LogCapability":
        """The same for lines about the input item with this index in the node's `items`."""
        ...


class NoLog:
    """Meets LogCapability where nobody reads what is logged."""

    def debug(self, message: str, /, **fields: Any) -> None:
        """Nothing."""

    def info(self, message: str, /, **fields: Any) -> None:
        """Nothing."""

    def warning(self, message: str, /, **fields: Any) -> None:
        """Nothing."""

    def error(self, message: str, /, **fields: Any) -> None:
        """Nothing."""

    def for_item(self, index: int) -> "NoLog":
        """The same."""
        return self


NO_LOG = NoLog()


@dataclass(slots=True)  # Not frozen: one is made for every request, and a frozen one takes four times as long.
class LogLine:
    """One line. `item` is the ordinal of the input item that it is about, `attempt` counts the tries from 1.

    `round` is set where the rounds of a body were journaled in one go: which of them logged it.
    """

    at: datetime
    level: Level
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    item: int | None = None
    attempt: int = 1
    round: int | None = None

    def to_json(self) -> Json:
        """For the journal; what says nothing is left out."""
        shape: Json = {"at": self.at, "level": self.level, "message": self.message}
        if self.fields:
            shape["fields"] = self.fields
        if self.item is not None:
            shape["item"] = self.item
        if self.attempt != 1:
            shape["attempt"] = self.attempt
        if self.round is not None:
            shape["round"] = self.round
        return shape

    @staticmethod
    def of_json(shape: Json) -> "LogLine":
        """The reverse of `to_json`, as JSON has it. Raises KeyError, TypeError and ValueError."""
        return LogLine(**{**shape, "at": datetime.fromisoformat(shape["at"])})
