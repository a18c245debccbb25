"""Who may use which credential in which workflow, asked when it is saved, published and run; the default is no."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from budflow.model.principal import Principal
from budflow.model.problem import WorkflowInvalid
from budflow.services.check_credentials import require_credentials
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.delete_credential import DeleteCredential, delete_credential
from budflow.services.fork_execution import ForkExecution, fork_execution
from budflow.services.publish_workflow import PublishWorkflow, publish_workflow
from budflow.services.retry_execution import RetryExecution, retry_execution
from budflow.services.rollback_workflow import RollbackWorkflow, rollback_workflow
from budflow.services.start_execution import StartExecution, start_execution
from budflow.services.update_credential import UpdateCredential, update_credential
from budflow.services.update_workflow import UpdateWorkflow, update_workflow
from budflow.services.use_case import Services
from budflow.services.validate_workflow import ValidateWorkflow, validate_workflow
from tests.services.credentials import ADA, BOB, CANARY, EVE, create, open_services

PATH = "/nodes/fetch/credentials/auth"
CARL = replace(ADA, id="carl")


def document(reference: str | None = "crm-token", **rest: Any) -> dict[str, Any]:
    """A manual trigger, and a request to a port where nobody answers."""
    fetch = {"type": "http.request", "params": {"url": "http://127.0.0.1:9/"}, **rest}
    if reference is not None:
        fetch["credentials"] = {"auth": reference}
    return {
        "format": 1,
        "name": "fetch",
        "nodes": {"start": {"type": "trigger.manual"}, "fetch": fetch},
        "edges": [{"from": "start", "to": "fetch"}],
    }


async def save(services: Services, author: Principal, data: dict[str, Any] | None = None) -> str:
    return (await create_workflow(services, author, CreateWorkflow(document=data or document()))).workflow.id


async def run(services: Services, principal: Principal, workflow_id: str, **asked: Any) -> str:
    view = await start_execution(services, principal, StartExecution(workflow_id=workflow_id, **asked))
    return view.execution.id


async def allowed(services: Services, author: Principal, workflow_id: str, starter: Principal) -> tuple[bool, ...]:
    """Whether the workflow may use its credential as a new version is saved, and as that is published and run."""
    current = await services.store.get_workflow(author.project_id, workflow_id)
    assert current is not None
    asked = UpdateWorkflow(workflow_id=workflow_id, document=document(), expected_version=current.latest_version)
    saved = await update_workflow(services, author, asked)
    checked = await validate_workflow(services, author, ValidateWorkflow(document=document(), workflow_id=workflow_id))
    rights = [not saved.problems, checked.can_run]
    for step in (
        publish_workflow(services, starter, PublishWorkflow(workflow_id=workflow_id)),
        start_execution(services, starter, StartExecution(workflow_id=workflow_id, version=saved.version)),
    ):
        try:
            await step
            rights.append(True)
        except WorkflowInvalid as error:
            assert [(problem.code, problem.path) for problem in error.problems] == [("credential.not_granted", PATH)]
            rights.append(False)
    return tuple(rights)


@dataclass(frozen=True)
class Relation:
    """To whom a credential is granted, and which author of which of two workflows may then use it."""

    grants: dict[str, Any]
    ada: str = ""
    bob: str = ""


#: "1", "2": in the first and in the second workflow. Who starts it never matters.
RELATIONS = {
    "nobody": Relation({}),
    "the project": Relation({"project": True}, ada="12", bob="12"),
    "one author": Relation({"principals": ["ada"]}, ada="12"),
    "another author": Relation({"principals": ["bob"]}, bob="12"),
    "both authors": Relation({"principals": ["ada", "bob"]}, ada="12", bob="12"),
    "who only starts it": Relation({"principals": ["carl"]}),
    "one workflow": Relation({"workflows": ["1"]}, ada="1", bob="1"),
    "another workflow": Relation({"workflows": ["2"]}, ada="2", bob="2"),
    "an author and a workflow": Relation({"principals": ["ada"], "workflows": ["2"]}, ada="12", bob="2"),
}


@pytest.mark.parametrize("name", RELATIONS)
async def test_a_version_uses_what_is_granted_to_its_project_its_author_or_its_workflow(name: str) -> None:
    relation = RELATIONS[name]
    async with open_services() as services:
        await create(services, CARL)
        ids = {"1": await save(services, CARL, document(None)), "2": await save(services, CARL, document(None))}
        grants = {**relation.grants, "workflows": [ids[one] for one in relation.grants.get("workflows", ())]}
        await update_credential(
            services, CARL, UpdateCredential.model_validate({"credential": "crm-token", "grants": grants})
        )

        for author, expected in ((ADA, relation.ada), (BOB, relation.bob)):
            for number, workflow_id in ids.items():
                for starter in (ADA, BOB, CARL):
                    rights = await allowed(services, author, workflow_id, starter)
                    assert rights == (number in expected,) * 4, (author.id, number, starter.id)


async def test_the_credential_of_another_project_does_not_exist() -> None:
    async with open_services() as services:
        theirs = await create(services, EVE, grants={"project": True, "principals": ["ada"]})

        for reference in ("crm-token", theirs.id):
            saved = await create_workflow(services, ADA, CreateWorkflow(document=document(reference)))
            [problem] = saved.problems
            assert (problem.code, problem.path, problem.blocks) == ("credential.unknown", PATH, "run")
            with pytest.raises(WorkflowInvalid):
                await run(services, ADA, saved.workflow.id)


# --- what is told --------------------------------------------------------------------------------------------------


async def test_an_unknown_name_hears_the_one_that_was_meant_if_names_may_be_listed() -> None:
    async with open_services() as services:
        made = await create(services)
        blind = replace(ADA, permissions=ADA.permissions - {"credential:read"})

        seen = await validate_workflow(services, ADA, ValidateWorkflow(document=document("crm-tokn")))
        unseen = await validate_workflow(services, blind, ValidateWorkflow(document=document("crm-tokn")))
        by_id = await validate_workflow(services, ADA, ValidateWorkflow(document=document(made.id)))

    assert (seen.can_save, seen.can_run, seen.can_publish) == (True, False, False)
    assert seen.problems[0].hint == "Did you mean `crm-token`?"
    assert seen.problems[0].patch == [{"op": "replace", "path": PATH, "value": "crm-token"}]
    assert "crm-token" not in unseen.problems[0].hint
    assert by_id.problems == []


async def test_a_kind_that_the_slot_does_not_take_is_told() -> None:
    values = {"url": f"postgresql://ada:{CANARY}@db.example/shop"}
    async with open_services() as services:
        await create(services, name="db", kind="database_url", values=values, hosts=[])
        await create(services, name="token")
        hook = {"type": "trigger.webhook", "params": {"path": "a"}, "credentials": {"signature": "token"}}
        data = document("db")
        data["nodes"]["hook"] = hook
        data["edges"].append({"from": "hook", "to": "fetch"})

        checked = await validate_workflow(services, ADA, ValidateWorkflow(document=data))

    assert {problem.path: (problem.code, problem.hint) for problem in checked.problems} == {
        PATH: ("credential.wrong_kind", "Use one of a kind that signs HTTP requests."),
        "/nodes/hook/credentials/signature": ("credential.wrong_kind", "Use one of the kinds `hmac`."),
    }


async def test_every_place_is_told_bodies_included_beside_other_problems() -> None:
    inner = {**document("a")["nodes"]["fetch"]}
    body = {"nodes": {"inner": inner}, "edges": [{"from": "$in", "to": "inner"}, {"from": "inner", "to": "$out"}]}
    data = document("b")
    data["nodes"]["each"] = {"type": "flow.for_each", "bodies": {"body": body}}
    data["nodes"]["other"] = {"type": "no.such"}
    data["edges"] += [{"from": "fetch", "to": "each"}, {"from": "each", "to": "other"}]
    async with open_services() as services:
        checked = await validate_workflow(services, ADA, ValidateWorkflow(document=data))

    assert {(problem.path, problem.code) for problem in checked.problems} == {
        (PATH, "credential.unknown"),
        ("/nodes/each/bodies/body/nodes/inner/credentials/auth", "credential.unknown"),
        ("/nodes/other/type", "node.unknown_type"),
    }


async def test_a_document_whose_shape_is_broken_is_told_of_that() -> None:
    async with open_services() as services:
        checked = await validate_workflow(services, ADA, ValidateWorkflow(document={"nodes": 1}))

    assert not checked.can_save


# --- when ----------------------------------------------------------------------------------------------------------


async def test_a_version_keeps_the_rights_of_who_saved_it() -> None:
    """Bob's change of Ada's workflow needs a grant of its own; Ada's version may run on."""
    async with open_services() as services:
        await create(services, ADA)
        workflow_id = await save(services, ADA)
        await publish_workflow(services, BOB, PublishWorkflow(workflow_id=workflow_id))

        saved = await update_workflow(
            services, BOB, UpdateWorkflow(workflow_id=workflow_id, document=document(), expected_version=1)
        )
        assert [problem.code for problem in saved.problems] == ["credential.not_granted"]
        with pytest.raises(WorkflowInvalid):
            await publish_workflow(services, ADA, PublishWorkflow(workflow_id=workflow_id))
        with pytest.raises(WorkflowInvalid):
            await run(services, ADA, workflow_id, version=2)
        assert await run(services, BOB, workflow_id, version=1)


async def test_going_back_to_a_version_is_saving_it_oneself() -> None:
    async with open_services() as services:
        await create(services, ADA)
        workflow_id = await save(services, ADA)
        plain = document(None)
        await update_workflow(
            services, BOB, UpdateWorkflow(workflow_id=workflow_id, document=plain, expected_version=1)
        )

        with pytest.raises(WorkflowInvalid):
            await rollback_workflow(services, BOB, RollbackWorkflow(workflow_id=workflow_id, version=1, publish=True))
        assert (await services.store.get_workflow("default", workflow_id)).latest_version == 2  # type: ignore[union-attr] # it is there
        bobs = await rollback_workflow(services, BOB, RollbackWorkflow(workflow_id=workflow_id, version=1))
        assert [problem.code for problem in bobs.problems] == ["credential.not_granted"]
        adas = await rollback_workflow(
            services, ADA, RollbackWorkflow(workflow_id=workflow_id, version=1, publish=True)
        )
        assert (adas.problems, adas.workflow.published_version) == ([], 4)


async def test_what_is_revoked_or_deleted_cannot_be_started_any_more() -> None:
    async with open_services() as services:
        await create(services, ADA)
        workflow_id = await save(services, ADA)
        failed = await run(services, ADA, workflow_id, wait_seconds=10)

        await update_credential(
            services, ADA, UpdateCredential.model_validate({"credential": "crm-token", "grants": {}})
        )
        for again in (
            run(services, ADA, workflow_id),
            retry_execution(services, ADA, RetryExecution(execution_id=failed)),
            fork_execution(services, ADA, ForkExecution(execution_id=failed, node="fetch")),
        ):
            with pytest.raises(WorkflowInvalid) as caught:
                await again
            assert [problem.code for problem in caught.value.problems] == ["credential.not_granted"]
        await delete_credential(services, ADA, DeleteCredential(credential="crm-token"))
        with pytest.raises(WorkflowInvalid) as caught:
            await run(services, ADA, workflow_id)
        assert [problem.code for problem in caught.value.problems] == ["credential.unknown"]


async def test_only_nodes_that_are_going_to_run_need_one() -> None:
    async with open_services() as services:
        off = await save(services, ADA, document(disabled=True))
        pinned = await save(services, ADA, document(pinned=[{"a": 1}]))

        assert await run(services, ADA, off)
        assert await run(services, ADA, pinned, use_pinned=True)
        assert await run(services, ADA, pinned, until_node="start")
        with pytest.raises(WorkflowInvalid):
            await run(services, ADA, pinned)


async def test_a_retry_needs_none_for_what_ended_well() -> None:
    """The node that used it is done, and the one behind it failed."""
    data = document(None, params={"url": "http://127.0.0.1:9/", "fail_on_status": False}, on_error="continue")
    data["nodes"]["fetch"]["credentials"] = {"auth": "crm-token"}
    data["nodes"]["stop"] = {"type": "flow.stop_and_error", "params": {"message": "No."}}
    data["edges"].append({"from": "fetch", "to": "stop"})
    async with open_services() as services:
        await create(services, ADA, hosts=["*", "http://*"])
        workflow_id = await save(services, ADA, data)
        failed = await run(services, ADA, workflow_id, wait_seconds=10)
        await delete_credential(services, ADA, DeleteCredential(credential="crm-token"))

        again = await retry_execution(services, ADA, RetryExecution(execution_id=failed, wait_seconds=10))
        with pytest.raises(WorkflowInvalid):
            await fork_execution(services, ADA, ForkExecution(execution_id=failed))

    nodes = {node.key: node.status for node in again.nodes}
    assert (nodes["fetch"], nodes["stop"]) == ("succeeded", "failed")


async def test_a_plan_without_credentials_asks_nobody() -> None:
    async with open_services() as services:
        workflow_id = await save(services, ADA, document(None))
        version, plan = await services.plans.get("default", workflow_id, 1)

        await require_credentials(replace(services, store=None), ADA, plan, version)  # type: ignore[arg-type] # unused
