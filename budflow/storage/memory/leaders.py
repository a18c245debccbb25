"""Who leads, in memory."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from budflow.model.identity import utc_now
from budflow.services.leader_ports import LeaderRow

_GIVEN_BACK = datetime.min.replace(tzinfo=UTC)


class MemoryLeaders:
    """See budflow.services.leader_ports.LeaderStore. A row stays, so that its token only grows."""

    def __init__(self) -> None:
        self._rows: dict[str, LeaderRow] = {}

    def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        """See acquire_lead."""
        row = self.current(name)
        if row is not None and row.holder != holder:
            return None
        last = self._rows.get(name)
        token = 1 if last is None else last.token + 1
        self._rows[name] = LeaderRow(holder, token, _until(seconds))
        return token

    def renew(self, name: str, token: int, seconds: float) -> bool:
        """See renew_lead."""
        row = self.current(name)
        if row is None or row.token != token:
            return False
        self._rows[name] = replace(row, until=_until(seconds))
        return True

    def release(self, name: str, holder: str) -> None:
        """See release_lead."""
        row = self._rows.get(name)
        if row is not None and row.holder == holder:
            self._rows[name] = replace(row, until=_GIVEN_BACK)

    def current(self, name: str) -> LeaderRow | None:
        """See current_lead."""
        row = self._rows.get(name)
        return None if row is None or row.until is None or row.until <= utc_now() else row


def _until(seconds: float) -> datetime:
    return utc_now() + timedelta(seconds=seconds)
