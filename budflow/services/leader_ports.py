"""What is asked of who leads: duties ask whether their term goes on, doors ask who it is, a lease asks the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from budflow.errors import BudflowError


class NotLeader(BudflowError):
    """This process does not lead, or not any more."""

    code = "leader.not_leader"
    http_status = 503
    hint = "Whoever leads does it; `budflow status` names it."


class Leading(Protocol):
    """One term of leading, from when this process began to lead to when it ceased. What is over stays over."""

    @property
    def token(self) -> int:
        """The fencing token: higher than that of every term before, in any process."""
        ...

    @property
    def leads(self) -> bool:
        """Whether the term goes on. It ends by the clock alone, also while the event loop stands still."""
        ...

    def require(self) -> None:
        """To be called before each act, with nothing awaited in between. Raises NotLeader."""
        ...


@dataclass(frozen=True, slots=True)
class LeaderRow:
    """Who leads, as everybody can read it; `until` is None where that ends only with the process."""

    holder: str
    token: int
    until: datetime | None


class Leaders(Protocol):
    """Who leads."""

    @property
    def leads(self) -> bool:
        """Whether this process does."""
        ...

    async def current(self) -> LeaderRow | None:
        """The one that leads, a runner's id; None when nobody does. Raises a BudflowError where nobody can say."""
        ...


class LeaderStore(Protocol):
    """A lease on leading, kept in the database by its own time."""

    async def acquire_lead(self, name: str, holder: str, *, seconds: float) -> int | None:
        """The fencing token, higher than any before, where nobody leads or `holder` itself does; else None."""
        ...

    async def renew_lead(self, name: str, token: int, *, seconds: float) -> bool:
        """Lead for `seconds` from now on; False where the lease ran out or another token was given since."""
        ...

    async def release_lead(self, name: str, holder: str) -> None:
        """Let others lead at once, where this is who leads."""
        ...

    async def current_lead(self, name: str) -> LeaderRow | None:
        """Who leads now."""
        ...
