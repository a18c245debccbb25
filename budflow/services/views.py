"""The shapes that several use cases answer with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from budflow.execution.records import OpenWait
from budflow.model.execution import Execution, Mode, Status, WaitReason
from budflow.model.failure import Failure
from budflow.model.principal import Principal
from budflow.model.problem import Problem
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.services.declared_inputs import Inputs, declared_inputs
from budflow.services.resume_links import ResumeLinks
from budflow.services.use_case import View

#: The permission to answer waits.
ANSWERING = "execution:run"


def milliseconds(began: datetime, ended: datetime) -> float:
    """The time between, in whole microseconds: a float's noise is nothing to show."""
    return round((ended - began).total_seconds() * 1000, 3)


class ProblemView(View):
    """One problem of a document."""

    code: str = Field(description="Stable; look it up in the docs.")
    path: str = Field(description="JSON Pointer into the document.")
    message: str
    hint: str = Field(description="What to do about it.")
    blocks: str = Field(
        description="`save` forbids everything, `run` running and publishing, `publish` publishing; `nothing` warns."
    )
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
    inputs: Inputs = Field(description="What each item needs to start it, by trigger and field; checked at the start.")
    created_at: datetime
    created_by: str

    @staticmethod
    def of(record: WorkflowRecord, version: VersionRecord) -> "VersionView":
        """From the stored rows."""
        return VersionView(
            workflow=WorkflowView.of(record),
            version=version.version,
            document=dict(version.document),
            inputs=declared_inputs(version.document),
            created_at=version.created_at,
            created_by=version.created_by,
        )


class WaitView(View):
    """Something that an execution waits for."""

    execution_id: str
    node: str = Field(description="The node's path: its key with the round of each loop around it, such as `ask[3]`.")
    reason: WaitReason
    opened_at: datetime
    until: datetime | None = Field(description="When the wait is over by itself; null: never.")
    ask: dict[str, Any] = Field(description="What is shown to who answers: `text`, the `fields` of a form.")
    answered: bool = Field(description="Whether an answer is on its way to the execution.")
    resume_url: str | None = Field(
        description="Whoever has this address may answer; null where that is not possible, or not for you to give away."
    )

    @staticmethod
    def of(wait: OpenWait, links: ResumeLinks, principal: Principal) -> "WaitView":
        """From the stored row. The address is only for those who may answer themselves."""
        return WaitView(
            execution_id=wait.execution_id,
            node=wait.node,
            reason=wait.reason,
            opened_at=wait.opened_at,
            until=wait.until,
            ask=dict(wait.ask),
            answered=wait.answered,
            resume_url=links.of_wait(wait) if ANSWERING in principal.permissions else None,
        )


class ParentView(View):
    """What called an execution."""

    execution_id: str
    node: str = Field(description="The path of the node that called it.")
    awaited: bool = Field(description="Whether that node waits for its end.")


class OriginView(View):
    """What an execution repeats."""

    execution_id: str
    kind: str = Field(description="`retry` goes on where the other failed, `fork` runs again from `node` on.")
    node: str | None


class ExecutionView(View):
    """An execution without its nodes."""

    id: str
    workflow_id: str
    version: int
    mode: Mode
    status: Status
    waiting: WaitReason | None = Field(None, description="What it waits for, while its status is `waiting`.")
    wake_at: datetime | None = Field(None, description="When it goes on by itself, where it does.")
    cancelling: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: float | None = Field(description="From the start to the end; null while it runs.")
    parent: ParentView | None
    origin: OriginView | None
    takeovers: int = Field(description="How often a server died over it in a row, without progress in between.")
    traceparent: str | None = Field(description="W3C Trace Context: what its HTTP requests carry on.")
    failure: FailureView | None

    @staticmethod
    def of(execution: Execution) -> "ExecutionView":
        """From the stored row."""
        started, finished = execution.started_at, execution.finished_at
        parent, origin, wake_at = execution.parent, execution.origin, execution.wake_at
        spent = milliseconds(started, finished) if started and finished else None
        return ExecutionView(
            id=execution.id,
            workflow_id=execution.workflow_id,
            version=execution.version,
            mode=execution.mode,
            status=execution.status,
            waiting=execution.waiting,
            wake_at=wake_at if wake_at is not None and wake_at > execution.created_at else None,  # Else it is due.
            cancelling=execution.cancelling,
            created_at=execution.created_at,
            started_at=started,
            finished_at=finished,
            duration_ms=spent,
            parent=None
            if parent is None
            else ParentView(execution_id=parent.execution_id, node=parent.node, awaited=parent.awaited),
            origin=None
            if origin is None
            else OriginView(execution_id=origin.execution_id, kind=origin.kind, node=origin.node),
            takeovers=execution.takeovers,
            traceparent=execution.traceparent,
            failure=FailureView.of(execution.failure),
        )
