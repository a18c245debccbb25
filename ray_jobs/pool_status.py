"""What a worker tells of the runner actors that it keeps; for people and programs, and without Ray."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from budflow.errors import BudflowError


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The cluster's `address`, an entry for each actor, and what of the wish cannot be had."""

    address: str
    runners: tuple[Mapping[str, Any], ...]
    problems: tuple[BudflowError, ...]

    def to_json(self) -> dict[str, Any]:
        """For `budflow worker --json`."""
        problems = [{"code": one.code, "message": one.message, "hint": one.hint} for one in self.problems]
        return {"ray": self.address, "runners": list(self.runners), "problems": problems}
