"""What retention asks of the store and of the blobs, and how long which executions are kept."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from budflow.model.execution import Status
from budflow.model.workflow import Retention
from budflow.settings import Settings

FAILED: tuple[Status, ...] = ("failed", "cancelled")
ENDED: tuple[Status, ...] = ("succeeded", *FAILED)


@dataclass(frozen=True, slots=True)
class Expired:
    """Which executions of a workflow are not kept: those with one of the statuses that ended before `before`; those
    that are no newer than `up_to`, an id. None does not choose.
    """

    project_id: str
    workflow_id: str
    statuses: tuple[Status, ...]
    before: datetime | None = None
    up_to: str | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one transaction removed. `more` says that there may be more to remove."""

    executions: int
    more: bool


class RetentionStore(Protocol):
    """Removing what is not kept any longer. Every call that changes something is one short transaction."""

    async def ended_workflows(self) -> list[tuple[str, str]]:
        """Project and workflow id of all executions that have ended."""
        ...

    async def newest_to_prune(self, project_id: str, workflow_id: str, kept: int) -> str | None:
        """The id of the newest ended execution that is not among the `kept` newest; None where there are no more."""
        ...

    async def prune_executions(self, expired: Expired, *, limit: int, at: datetime) -> Pruned:
        """Remove some ended executions, the oldest first, with all that hangs on them.

        One stays that an execution which has not ended has as its parent or origin, or as its child. Blobs that nobody
        refers to any more are unused since `at`. Of one with a very long journal only a part may be removed at first.
        """
        ...

    async def unused_blobs(self, before: datetime, *, limit: int) -> list[tuple[str, str]]:
        """Project and hash of blobs that are unused since before then."""
        ...

    async def forget_blob(self, project_id: str, sha256: str, before: datetime) -> bool:
        """Remove a blob's row, if it is still unused since before then; whether it was."""
        ...

    async def known_blobs(self, blobs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the blobs, by project and hash, that have a row."""
        ...


class BlobFiles(Protocol):
    """The blobs themselves. All of it blocks; times are seconds since 1970."""

    @property
    def place(self) -> str:
        """Where they are, for people; there is no secret in it."""
        ...

    def check(self, *, writing: bool = False) -> None:
        """Find out within seconds whether they can be reached and, if so wished, written: then what was is left as it
        was. Raises BlobUnreadable, BlobUnwritable.
        """
        ...

    def collect(self, project_id: str, sha256: str, *, older_than: float) -> bool:
        """Remove a blob, unless it was written, or found again, since; whether it was there and is gone."""
        ...

    def old_blobs(self, *, older_than: float) -> Iterator[tuple[str, str]]:
        """Project and hash of every blob that was last written, or found again, before that."""
        ...

    def remove_unfinished(self, *, older_than: float) -> int:
        """Remove what writers that died left behind; how many."""
        ...


def retention_of(settings: Settings, document: Mapping[str, Any] | None) -> Retention:
    """What holds for a workflow: its own word, from its stored document, over the server's."""
    own = ((document or {}).get("settings") or {}).get("retention") or {}

    def chosen(name: str, default: int) -> int:
        value = own.get(name)
        return default if value is None else int(value)

    return Retention(
        chosen("succeeded_seconds", settings.retention_succeeded_seconds),
        chosen("failed_seconds", settings.retention_failed_seconds),
        chosen("executions_max", settings.retention_executions_max),
    )


def expired_by_age(project_id: str, workflow_id: str, retention: Retention, now: datetime) -> list[Expired]:
    """The executions that are too old."""
    return [
        Expired(project_id, workflow_id, statuses, before=now - timedelta(seconds=seconds))
        for statuses, seconds in ((("succeeded",), retention.succeeded_seconds), (FAILED, retention.failed_seconds))
        if seconds is not None
    ]
