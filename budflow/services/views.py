"""The shapes that several use cases answer with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from budflow.model.execution import Execution, Mode, Status
from budflow.model.failure import Failure
from budflow.model.problem import Problem
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.services.use_case import View


def milliseconds(began: datetime, ended: datetime) -> float:
    """The time between, in whole microseconds: a float's noise is nothing to show."""
    return round((ended - began).total_seconds() * 1000, 3)


class ProblemView(View):
    """One problem of a document."""

    code: str = Field(description="Stable; look it up in the docs.")
    path: str = Field(description="JSON Pointer into the document.")
    message: str
    hint: str = Field(description="What to do about it.")
    blocks: str = Field(description="`save` forbids everything, `run` running and publishing, `publish` publishing.")
    patch: list[dict[str, Any]] = Field(default_factory=list, description="A JSON Patch that mends it, where known.")

    @staticmethod
    def of(problem: Problem) -> "ProblemView":
        """From the validator's word."""
        return ProblemView(
            code=problem.code,
            path=problem.path,
            message=problem.message,
            hint=problem.hint,
            blocks=problem.blocks,
            patch=list(problem.patch),
        )


class FailureView(View):
    """Why something failed."""

    code: str
    message: str
    hint: str = ""
    node: str | None = None
    retriable: bool = False

    @staticmethod
    def of(failure: Failure | None) -> "FailureView | None":
        """From the journal's word."""
        return None if failure is None else FailureView(**failure.to_json())


class WorkflowView(View):
    """A workflow without its document."""

    id: str
    name: str
    latest_version: int
    published_version: int | None = Field(description="The version whose triggers are armed; null when none is.")
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def of(record: WorkflowRecord) -> "WorkflowView":
        """From the stored row."""
        return WorkflowView(
            id=record.id,
            name=record.name,
            latest_version=record.latest_version,
            published_version=record.published_version,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )


class SavedView(View):
    """What a save made: the version, and what still keeps it from being published or run."""

    workflow: WorkflowView
    version: int
    problems: list[ProblemView] = Field(description="Empty when the version can be published.")

    @staticmethod
    def of(record: WorkflowRecord, version: int, problems: Sequence[Problem]) -> "SavedView":
        """From the stored row and the validator's word."""
        return SavedView(
            workflow=WorkflowView.of(record), version=version, problems=[ProblemView.of(one) for one in problems]
        )


class VersionView(View):
    """One version with its document."""

    workflow: WorkflowView
    version: int
    document: dict[str, Any]
    created_at: datetime
    created_by: str

    @staticmethod
    def of(record: WorkflowRecord, version: VersionRecord) -> "VersionView":
        """From the stored rows."""
        return VersionView(
            workflow=WorkflowView.of(record),
            version=version.version,
            document=dict(version.document),
            created_at=version.created_at,
            created_by=version.created_by,
        )


class ExecutionView(View):
    """An execution without its nodes."""

    id: str
    workflow_id: str
    version: int
    mode: Mode
    status: Status
    cancelling: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: float | None = Field(description="From the start to the end; null while it runs.")
    parent_execution_id: str | None
    failure: FailureView | None

    @staticmethod
    def of(execution: Execution) -> "ExecutionView":
        """From the stored row."""
        started, finished = execution.started_at, execution.finished_at
        spent = milliseconds(started, finished) if started and finished else None
        return ExecutionView(
            id=execution.id,
            workflow_id=execution.workflow_id,
            version=execution.version,
            mode=execution.mode,
            status=execution.status,
            cancelling=execution.cancelling,
            created_at=execution.created_at,
            started_at=started,
            finished_at=finished,
            duration_ms=spent,
            parent_execution_id=execution.parent.execution_id if execution.parent else None,
            failure=FailureView.of(execution.failure),
        )
