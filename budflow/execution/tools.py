"""What a run may use of the process that it is in: the capabilities that its nodes get, and the clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from budflow.execution.hand_over import NO_HAND_OVER
from budflow.execution.heavy import Heavy
from budflow.execution.lists import ListStore
from budflow.execution.ports import HandOver
from budflow.execution.round_costs import RoundCosts
from budflow.model.execution import Place
from budflow.model.files import NO_FILES, FilesCapability
from budflow.model.identity import utc_now
from budflow.model.node import HttpCapability
from budflow.model.sandbox import NO_SANDBOX, SandboxCapability

SNAPSHOT_EVENTS = 1_000

#: The sandbox of a project, by its id.
SandboxOf = Callable[[str], SandboxCapability]


def no_sandbox(_project_id: str) -> SandboxCapability:
    """Where code runs nowhere."""
    return NO_SANDBOX


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run may use of the process that it is in. `heavy` runs segments elsewhere; None: here.

    `lists` is where lists go that are too long for memory; None: they stay in it. A snapshot is due every
    `snapshot_events` events, and more where what is open is large. `hand_over` is how credentials get here
    from the process that opens them, where that is another one. `costs` are those of bodies that ran here.
    `sandbox_of` is where authors' code runs.
    """

    place: Place
    http: HttpCapability
    heavy: Heavy | None = None
    now: Callable[[], datetime] = utc_now
    files: FilesCapability = NO_FILES
    lists: ListStore | None = None
    snapshot_events: int = SNAPSHOT_EVENTS
    hand_over: HandOver = NO_HAND_OVER
    costs: RoundCosts = field(default_factory=RoundCosts)
    sandbox_of: SandboxOf = no_sandbox
