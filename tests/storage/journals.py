"""Executions, events and writes to store, with only what a test says different from the ordinary."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from budflow.execution.records import JournalWrite, OpenWait, Rest, Signal
from budflow.model.credential import CredentialRecord, CredentialRequest, CredentialUse, Grants, Sealed
from budflow.model.event import StoredEvent
from budflow.model.execution import Claim, Execution
from budflow.model.identity import new_id, utc_now
from budflow.model.workflow import VersionRecord, WebhookRoute, WorkflowRecord
from budflow.services.ports import Store


def event(seq: int = 0, type_: str = "node.finished", payload: bytes = b'{"node":"a"}') -> StoredEvent:
    return StoredEvent(seq, type_, 1, utc_now(), payload)


def execution(**different: Any) -> Execution:
    ordinary = Execution(
        id=new_id("exe"),
        project_id="default",
        workflow_id="wf_a",
        version=1,
        mode="api",
        status="queued",
        created_at=utc_now(),
    )
    return replace(ordinary, **different)


async def queued(store: Store, **different: Any) -> Execution:
    """An execution that was admitted, with its first event."""
    new = execution(**different)
    await store.admit(new, [event(0, "execution.admitted")])
    return new


async def running(store: Store, runner: str = "r1", **different: Any) -> Claim:
    """A claimed execution whose next seq is 1; nothing else may be queued."""
    await queued(store, **different)
    [(claim, _)] = await store.claim(runner, limit=1)
    return claim


def end(claim: Claim, seq: int = 1, status: Any = "succeeded") -> JournalWrite:
    return JournalWrite(claim, (event(seq, "execution.finished"),), status=status)


def wait(claim: Claim, key: str = "wait:ask:0", **different: Any) -> OpenWait:
    ordinary = OpenWait(claim.execution_id, "default", key, "ask", "approval", utc_now(), None, {"text": "May I?"})
    return replace(ordinary, **different)


def signal(execution_id: str, key: str = "wait:ask:0", payload: bytes = b'{"answer":1}') -> Signal:
    return Signal(execution_id, key, event(0, "wait.ended", payload))


async def waiting(store: Store, wake_at: datetime | None = None, seq: int = 1, **different: Any) -> Claim:
    """An execution that was given back; the claim is the one that it was given back with."""
    claim = await running(store, **different)
    await store.append(JournalWrite(claim, (event(seq),), rest=Rest("approval", wake_at)))
    return claim


async def row_of(store: Store, execution_id: str) -> Execution:
    row = await store.get_execution("default", execution_id)
    assert row is not None
    return row


def workflow(**different: Any) -> WorkflowRecord:
    now = utc_now()
    return replace(WorkflowRecord(new_id("wf"), "default", "Order intake", 1, None, now, now), **different)


def version(of: WorkflowRecord, number: int = 1, **document: Any) -> VersionRecord:
    at = of.created_at + timedelta(seconds=number)
    return VersionRecord(of.id, of.project_id, number, {"format": 1, "name": of.name, **document}, at, "owner")


async def saved(store: Store, **different: Any) -> WorkflowRecord:
    """A stored workflow with its first version."""
    new = workflow(**different)
    await store.add_workflow(new, version(new))
    return new


def route(of: WorkflowRecord, method: str = "POST", path: str = "orders/{shop}") -> WebhookRoute:
    shape = "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
    return WebhookRoute(of.project_id, of.id, 1, "order", method, path, shape)


def credential(**different: Any) -> CredentialRecord:
    now = utc_now()
    ordinary = CredentialRecord(
        id=new_id("crd"),
        project_id="default",
        name="crm",
        kind="bearer",
        revision=1,
        hosts=("crm.example",),
        grants=Grants(principals=frozenset({"owner"})),
        probe=None,
        sealed=Sealed("key_1", b"\x00wrapped", b"\x00box"),
        created_at=now,
        updated_at=now,
        created_by="owner",
    )
    return replace(ordinary, **different)


def use(claim: Claim, **different: Any) -> CredentialUse:
    ordinary = CredentialUse(
        project_id="default",
        credential_id="crd_a",
        used_at=utc_now(),
        workflow_id="wf_a",
        version=1,
        execution_id=claim.execution_id,
        node="price",
        slot="auth",
        author="owner",
        principal="ann",
    )
    return replace(ordinary, **different)


def credential_request(**different: Any) -> CredentialRequest:
    now = utc_now()
    ordinary = CredentialRequest(
        id=new_id("crq"),
        project_id="default",
        token_hash=new_id("hash"),
        kind="bearer",
        name="crm",
        hosts=("crm.example",),
        grants=Grants(project=True),
        reason="To read the prices.",
        asked_by="agent",
        created_at=now,
        expires_at=now + timedelta(hours=1),
    )
    return replace(ordinary, **different)
