"""Why a node or an execution failed, as data that stands in the journal and in every answer."""

from dataclasses import dataclass
from typing import Any

from budflow.errors import BudflowError


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as data. `node` is the path of the node it came from: in a loop with the rounds, such as `price[3]`.

    `retriable` says that trying again may help.
    """

    code: str
    message: str
    hint: str = ""
    node: str | None = None
    retriable: bool = False

    def to_json(self) -> dict[str, Any]:
        """The shape in the journal and in answers: only what is set."""
        shape: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            shape["hint"] = self.hint
        if self.node is not None:
            shape["node"] = self.node
        if self.retriable:
            shape["retriable"] = True
        return shape

    @staticmethod
    def of(error: BudflowError, node: str | None = None) -> "Failure":
        """An error that was raised, as data."""
        return Failure(error.code, error.message, error.hint, node, bool(getattr(error, "retriable", False)))


class NodeError(BudflowError):
    """The node could not do its work."""

    code = "node.failed"
    http_status = 500
    hint = "Look at the node's parameters and at the item it failed on."
    retriable = False
