"""Rights when nodes open credentials: the callee's own in sub-workflows, and what changes while an execution runs."""

from dataclasses import replace
from typing import Any

import pytest

from budflow.model.principal import Principal
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.delete_credential import DeleteCredential, delete_credential
from budflow.services.get_execution import GetExecution, get_execution
from budflow.services.publish_workflow import PublishWorkflow, publish_workflow
from budflow.services.start_execution import StartExecution, start_execution
from budflow.services.update_credential import UpdateCredential, update_credential
from budflow.services.use_case import Services
from budflow.services.wait_execution import WaitExecution, wait_execution
from tests.gate import Gate, open_gate
from tests.services.credentials import ADA, BOB, create, open_services

CARL = replace(ADA, id="carl")


def document(nodes: dict[str, Any], *edges: tuple[str, str]) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "test",
        "nodes": {"start": {"type": "trigger.manual"}, **nodes},
        "edges": [{"from": source, "to": target} for source, target in edges],
    }


def fetching(url: str) -> dict[str, Any]:
    fetch = {"type": "http.request", "params": {"url": url}, "credentials": {"auth": "crm-token"}}
    return document({"fetch": fetch}, ("start", "fetch"))


async def save(services: Services, author: Principal, data: dict[str, Any]) -> str:
    return (await create_workflow(services, author, CreateWorkflow(document=data))).workflow.id


async def grant(services: Services, **grants: Any) -> None:
    asked = {"credential": "crm-token", "grants": grants}
    await update_credential(services, CARL, UpdateCredential.model_validate(asked))


async def failure_of(services: Services, execution_id: str) -> str | None:
    """The code by which the innermost execution failed; None where it succeeded."""
    detail = await get_execution(services, CARL, GetExecution(execution_id=execution_id))
    assert detail.execution.finished_at is not None, detail
    for node in detail.nodes:
        for child in node.children:
            return await failure_of(services, child)
    return None if detail.execution.failure is None else detail.execution.failure.code


#: Who the credential is granted to, by the names "caller" and "callee" for workflows; whether the callee may use it.
CALLS = {
    "nobody": ({}, False),
    "the project": ({"project": True}, True),
    "the callee's author": ({"principals": ["bob"]}, True),
    "the caller's author": ({"principals": ["ada"]}, False),
    "who starts the caller": ({"principals": ["carl"]}, False),
    "the callee": ({"workflows": ["callee"]}, True),
    "the caller": ({"workflows": ["caller"]}, False),
    "all but the callee": ({"workflows": ["caller"], "principals": ["ada", "carl"]}, False),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_called_workflow_uses_what_it_may_use_itself(name: str) -> None:
    grants, may = CALLS[name]
    async with open_services(http_allow=("127.0.0.1",)) as services, open_gate() as gate:
        gate.release.set()
        await create(services, CARL, hosts=[gate.url.removesuffix("/")], grants={"project": True})
        callee = await save(services, BOB, fetching(gate.url))
        await publish_workflow(services, BOB, PublishWorkflow(workflow_id=callee))
        call = {"type": "flow.sub_workflow", "params": {"workflow": callee}}
        caller = await save(services, ADA, document({"call": call}, ("start", "call")))
        ids = {"caller": caller, "callee": callee}
        await grant(services, **{**grants, "workflows": [ids[one] for one in grants.get("workflows", ())]})

        started = await start_execution(services, CARL, StartExecution(workflow_id=caller, wait_seconds=10))

        assert await failure_of(services, started.execution.id) == (None if may else "credential.refused")
        assert gate.requests == int(may), "nothing is sent by who may not"


async def between(services: Services, gate: Gate, change: Any) -> str | None:
    """How an execution ends in which `change` happens between two nodes that use a credential."""
    data = fetching(gate.url)
    data["nodes"]["again"] = data["nodes"]["fetch"]
    data["edges"].append({"from": "fetch", "to": "again"})
    workflow_id = await save(services, CARL, data)
    started = await start_execution(services, CARL, StartExecution(workflow_id=workflow_id))
    await gate.arrived.wait()
    await change
    gate.release.set()
    await wait_execution(services, CARL, WaitExecution(execution_id=started.execution.id, wait_seconds=10))
    return await failure_of(services, started.execution.id)


async def test_what_is_deleted_or_revoked_while_an_execution_runs_fails_its_next_node() -> None:
    for change, code in ((grant, "credential.refused"), (deleted, "credential.not_found"), (renewed, None)):
        async with open_services(http_allow=("127.0.0.1",)) as services, open_gate() as gate:
            await create(services, CARL, hosts=[gate.url.removesuffix("/")])

            assert await between(services, gate, change(services)) == code
            assert gate.requests == (2 if code is None else 1)


async def deleted(services: Services) -> None:
    await delete_credential(services, CARL, DeleteCredential(credential="crm-token"))


async def renewed(services: Services) -> None:
    asked = {"credential": "crm-token", "values": {"token": "another-token"}}
    await update_credential(services, CARL, UpdateCredential.model_validate(asked))
