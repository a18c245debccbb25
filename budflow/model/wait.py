"""Which open waits somebody asks for."""

from dataclasses import dataclass
from datetime import datetime

from budflow.model.execution import WaitReason

#: What somebody can end by an answer; the others end by themselves.
ANSWERABLE: frozenset[WaitReason] = frozenset({"webhook", "form", "approval", "ask"})


@dataclass(frozen=True, slots=True)
class WantedWaits:
    """None and the empty set do not choose. `node` is a node path.

    `after` goes on behind the wait with this `opened_at`, execution id and key.
    """

    execution_id: str | None = None
    node: str | None = None
    reasons: frozenset[WaitReason] = frozenset()
    after: tuple[datetime, str, str] | None = None


ALL_WAITS = WantedWaits()
