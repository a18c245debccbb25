"""Credentials in the engine: opened and journaled before anything is sent, audited, and masked in what comes back."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from budflow import log
from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import CredentialUser, Work
from budflow.execution.projection import read_story
from budflow.model import event as e
from budflow.model.credential import CredentialRefused, CredentialUnreadable
from budflow.model.execution import Place
from budflow.model.failure import Failure
from budflow.model.http import HttpRequest
from budflow.model.item import Item
from budflow.storage.errors import StorageUnavailable
from tests.execution.bank import IN_TIME_SECONDS, SECRET, SEND, Bank, banking, of
from tests.execution.fakes import PLACE, until
from tests.execution.vault import secret_of

MASKED_ECHO = {"status": 200, "echo": {"headers": ["token ***"], "***": {}}}
EDGES = ["start > send"]


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with banking(tmp_path) as bank:
        yield bank


def failing(times: int) -> Any:
    """Answers 500 so often, then 200."""
    left = [times]

    def answer(_request: HttpRequest) -> int:
        left[0] -= 1
        return 500 if left[0] >= 0 else 200

    return answer


def retry(tries: int, wait_seconds: float = 0.001) -> dict[str, Any]:
    return {"tries": tries, "wait_seconds": wait_seconds, "jitter": False}


# --- given, journaled and audited ---


async def test_a_use_is_durable_before_anything_is_sent(bank: Bank) -> None:
    seen: list[list[str]] = []

    async def look(_request: HttpRequest) -> int:
        [row] = (await bank.store.list_executions("default", limit=10)).items
        seen.append([event.TYPE for event in await bank.events(row.id)])
        return 200

    bank.http._answer = look
    events = await bank.run({"send": SEND}, EDGES)

    assert [request.headers for request in bank.http.requests] == [(("X-Token", SECRET),)]
    assert seen[0][-2:] == ["credentials.used", "node.started"]
    [used] = of(e.CredentialsUsed, events)
    assert (used.node, used.credentials, used.rounds) == ("send", {"auth": "crd_crm"}, ())


async def test_so_it_is_where_the_author_says_that_the_node_has_no_effect(bank: Bank) -> None:
    seen: list[str] = []

    async def look(_request: HttpRequest) -> int:
        [row] = (await bank.store.list_executions("default", limit=10)).items
        seen.extend(event.TYPE for event in await bank.events(row.id))
        return 200

    bank.http._answer = look
    await bank.run({"send": {**SEND, "effect": "pure"}}, EDGES, journal="end")

    assert seen[-1] == "credentials.used"


async def test_the_audit_names_author_and_principal_workflow_and_node(bank: Bank) -> None:
    events = await bank.run({"send": SEND}, EDGES)

    [use] = await bank.uses()
    assert (use.author, use.principal) == ("ann", "bob")
    assert (use.workflow_id, use.version, use.node, use.slot) == ("flow", 1, "send", "auth")
    assert use.used_at == of(e.CredentialsUsed, events)[0].at
    assert bank.vault.asked == [(CredentialUser("default", "flow", "ann"), "crm", ("token",))]


async def test_every_round_of_a_loop_is_audited_with_its_path(bank: Bank) -> None:
    body = {"nodes": {"send": SEND}, "edges": [{"from": "$in", "to": "send"}, {"from": "send", "to": "$out"}]}
    each = {"type": "flow.for_each", "bodies": {"body": body}}
    await bank.run({"each": each}, ["start > each"], [{"n": 1}, {"n": 2}])

    assert sorted(use.node for use in await bank.uses()) == ["send[0]", "send[1]"]


async def test_a_called_workflow_uses_what_its_own_author_may(bank: Bank) -> None:
    bank.authors["callee"] = "eve"
    await bank.save("callee", {"send": SEND}, EDGES)
    await bank.run({"call": {"type": "flow.sub_workflow", "params": {"workflow": "callee"}}}, ["start > call"])

    assert [user.author for user, _, _ in bank.vault.asked] == ["eve"]
    [use] = await bank.uses()
    assert (use.workflow_id, use.author) == ("callee", "eve")


async def test_a_node_that_does_not_run_uses_none(bank: Bank) -> None:
    await bank.run({"send": {**SEND, "disabled": True}}, EDGES)

    assert bank.vault.asked == []


async def test_a_node_without_credentials_is_given_none_and_asks_for_none(bank: Bank) -> None:
    events = await bank.run(
        {"get": {"type": "http.request", "params": {"url": "https://example.com/"}}}, ["start > get"]
    )

    assert bank.vault.asked == []
    assert of(e.CredentialsUsed, events) == []


async def test_an_execution_tells_which_credentials_its_nodes_used(bank: Bank) -> None:
    await bank.save("flow", {"send": SEND}, EDGES)
    active = await bank.start("flow")
    await active.ended
    row = await bank.store.get_execution("default", active.execution.id)
    assert row is not None

    story = await read_story(bank.store, row, active.plan)

    assert {node.key: node.credentials for node in story.nodes} == {"start": {}, "send": {"auth": "crd_crm"}}


# --- what the door of a trigger has used ---

DOOR = {"type": "test.door", "credentials": {"signature": "crm"}}


async def test_what_the_door_of_a_trigger_used_is_audited_by_the_execution(bank: Bank) -> None:
    await bank.save("flow", {"hook": DOOR}, [])
    active = await bank.start("flow", trigger="hook", mode="webhook", credentials={"signature": "crd_crm"})
    await active.ended

    row = await bank.store.get_execution("default", active.execution.id)
    assert row is not None
    [use] = await bank.uses()
    assert (use.node, use.slot, use.author, use.principal) == ("hook", "signature", "ann", "bob")
    story = await read_story(bank.store, row, active.plan)
    assert [node.credentials for node in story.nodes] == [{"signature": "crd_crm"}]


async def test_the_engine_does_not_open_what_is_for_the_door(bank: Bank) -> None:
    events = await bank.run({"hook": DOOR}, [], trigger="hook", mode="webhook")

    assert of(e.Finished, events)[0].status == "succeeded"
    assert bank.vault.asked == []
    assert await bank.uses() == []


async def test_a_use_is_audited_also_of_an_execution_that_is_not_kept(bank: Bank) -> None:
    await bank.save("flow", {"hook": DOOR}, [], retention={"succeeded_seconds": 0})
    active = await bank.start(
        "flow", trigger="hook", mode="webhook", durable=False, credentials={"signature": "crd_crm"}
    )
    await active.ended

    assert len(await bank.uses()) == 1


# --- refused ---


@pytest.mark.parametrize("fault", [CredentialRefused(), CredentialUnreadable()], ids=lambda fault: fault.code)
async def test_where_it_cannot_be_opened_the_node_fails_and_nothing_is_sent(bank: Bank, fault: Any) -> None:
    bank.vault.fault = fault
    events = await bank.run({"send": SEND}, EDGES)

    [failed] = of(e.NodeFailed, events)
    assert (failed.failure.code, failed.failure.node) == (fault.code, "send")
    assert bank.http.requests == []
    assert await bank.uses() == []


async def test_a_refusal_is_treated_as_the_node_says(bank: Bank) -> None:
    bank.vault.take_away("crm")
    events = await bank.run({"send": {**SEND, "on_error": "continue"}}, EDGES, [{"n": 1}, {"n": 2}])

    [finished] = [event for event in of(e.NodeFinished, events) if event.node == "send"]
    assert [item.error.code for item in finished.outputs["main"].items] == ["credential.not_found"] * 2


async def test_a_slot_that_the_node_type_lacks_is_refused_by_the_owner(bank: Bank) -> None:
    await bank.save("flow", {"send": SEND}, EDGES)
    active = await bank.start("flow")
    with pytest.raises(Exception, match="takes no credential as `other`"):
        await bank.supervisor.holding.open_credential(active, active.plan.nodes[1], "other")  # type: ignore[arg-type] # it is Held
    await active.ended


async def test_a_source_that_has_a_defect_fails_the_node(bank: Bank) -> None:
    bank.vault.fault = KeyError("x")  # type: ignore[assignment] # a defect
    events = await bank.run({"send": SEND}, EDGES)

    assert of(e.NodeFailed, events)[0].failure.code == "node.crashed"


async def test_a_store_that_is_not_there_is_waited_for(bank: Bank) -> None:
    bank.vault.fault = StorageUnavailable()
    await bank.save("flow", {"send": SEND}, EDGES)
    active = await bank.start("flow")
    await until(lambda: len(bank.vault.asked) >= 2)
    bank.vault.fault = None

    assert await bank.end_of(active.execution.id) == "succeeded"
    assert len(bank.http.requests) == 1


# --- tried again ---


async def test_all_tries_and_items_of_a_run_are_one_use(bank: Bank) -> None:
    bank.http._answer = failing(2)
    events = await bank.run({"send": {**SEND, "retry": retry(3)}}, EDGES, [{"n": 1}, {"n": 2}])

    assert of(e.Finished, events)[0].status == "succeeded"
    assert len(of(e.CredentialsUsed, events)) == 1
    assert len(await bank.uses()) == 1


async def test_a_credential_that_is_taken_away_during_a_pause_is_not_sent_again(bank: Bank) -> None:
    def answer(_request: HttpRequest) -> int:
        bank.vault.take_away("crm")
        return 500

    bank.http._answer = answer
    events = await bank.run({"send": {**SEND, "retry": retry(5)}}, EDGES)

    assert len(bank.http.requests) == 1
    assert of(e.NodeFailed, events)[0].failure.code == "credential.not_found"


async def test_one_that_is_another_after_a_pause_is_audited_too(bank: Bank) -> None:
    def answer(_request: HttpRequest) -> int:
        bank.vault.put("crm", "a new one", "crd_new")
        return 500 if len(bank.http.requests) == 1 else 200

    bank.http._answer = answer
    await bank.run({"send": {**SEND, "retry": retry(5)}}, EDGES)

    assert [request.headers[0][1] for request in bank.http.requests] == [SECRET, "a new one"]
    assert len(await bank.uses()) == len(await bank.uses("crd_new")) == 1


# --- masked ---


async def test_secrets_in_items_are_masked_in_keys_and_values(bank: Bank) -> None:
    events = await bank.run({"send": SEND}, EDGES)

    [finished] = [event for event in of(e.NodeFinished, events) if event.node == "send"]
    assert finished.outputs["main"].to_json() == [MASKED_ECHO]
    assert bank.leaked() == []


async def test_of_several_credentials_all_secrets_are_masked_whole(bank: Bank) -> None:
    bank.vault.put("short", "abcdefgh")
    bank.vault.put("long", "abcdefgh and more")
    node = {"type": "test.join", "credentials": {"first": "short", "second": "long"}}
    events = await bank.run({"join": node}, ["start > join"])

    assert of(e.NodeFinished, events)[-1].outputs["main"].to_json() == [{"both": "*** ***"}]


async def test_secrets_in_failures_and_hints_are_masked_also_when_they_are_tried_again(bank: Bank) -> None:
    bank.http._answer = failing(9)
    events = await bank.run({"send": {**SEND, "retry": retry(2)}}, EDGES)

    for event in (*of(e.ItemsRetried, events), *of(e.NodeFailed, events), *of(e.Finished, events)):
        assert (event.failure.message, event.failure.hint) == ("*** is not known", "Look at ***.")
    assert bank.leaked() == []


async def test_what_a_node_noted_of_its_items_is_masked(bank: Bank) -> None:
    bank.http._answer = failing(1)
    events = await bank.run({"send": SEND}, EDGES, [{"n": n} for n in range(3)])

    [done] = of(e.ItemsFinished, events)
    assert [item["echo"]["headers"] for item in done.items.to_json()] == [["token ***"]] * 2
    assert bank.leaked() == []


async def test_a_crash_that_quotes_the_secret_is_logged_and_journaled_masked(bank: Bank) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure("debug", stream)
    try:
        events = await bank.run({"send": {**SEND, "params": {"crash": True}}}, EDGES)
    finally:
        root.handlers[:] = before
        root.setLevel(level)

    assert of(e.NodeFailed, events)[0].failure.message == "ValueError: could not parse ***"
    assert "could not parse ***" in stream.getvalue()
    assert 'raise ValueError(f\\"could not parse {secret}\\")' in stream.getvalue()
    assert "tôken" not in stream.getvalue()
    assert "t\\u00f4ken" not in stream.getvalue()
    assert bank.leaked() == []


class Elsewhere:
    """Another process, which masks nothing."""

    width, start_seconds = 1, 0.0

    async def run_rounds(self, work: Work, chunk: bytes) -> bytes:
        """Meets Heavy."""
        raise AssertionError("nothing here loops")

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        """Meets Heavy."""
        secret = secret_of(run, "auth")  # type: ignore[arg-type] # it has credentials as a call has
        run.on_retry(1, 1, 0.0, Failure("x", f"{secret} failed"))
        failed = {1: Failure("x", f"{secret} failed")}
        return NodeResult({"main": ([Item({"secret": [secret]})], [0])}, failed), PLACE


async def test_what_comes_back_from_another_process_is_masked(tmp_path: Path) -> None:
    async with banking(tmp_path, Elsewhere()) as bank:
        node = {"type": "test.heavy_send", "credentials": {"auth": "crm"}, "on_error": "continue"}
        events = await bank.run({"send": node}, EDGES, [{}, {}])

        first, second = of(e.NodeFinished, events)[-1].outputs["main"].items
        assert first.json == {"secret": ["***"]}
        assert second.error is not None
        assert second.error.message == of(e.ItemsRetried, events)[0].failure.message == "*** failed"
        assert bank.leaked() == []


# --- stopped ---


async def test_a_node_is_cancelled_while_its_credential_is_opened(bank: Bank) -> None:
    bank.vault.gate.clear()
    await bank.save("flow", {"send": SEND}, EDGES)
    active = await bank.start("flow")
    await until(lambda: bank.vault.asked)
    await bank.supervisor.cancel("default", active.execution.id, "bob")
    async with asyncio.timeout(IN_TIME_SECONDS):
        await active.ended

    assert active.finished is not None
    assert active.finished.status == "cancelled"
    assert bank.http.requests == []


async def test_opening_takes_no_longer_than_the_node_may(bank: Bank) -> None:
    bank.vault.gate.clear()
    async with asyncio.timeout(IN_TIME_SECONDS):
        events = await bank.run({"send": {**SEND, "timeout_seconds": 0.05}}, EDGES)

    assert of(e.NodeFailed, events)[0].failure.code == "node.timed_out"
    assert bank.http.requests == []


async def test_opening_takes_no_longer_than_the_execution_may(bank: Bank) -> None:
    bank.vault.gate.clear()
    async with asyncio.timeout(IN_TIME_SECONDS):
        events = await bank.run({"send": SEND}, EDGES, timeout_seconds=0.05)

    assert of(e.Finished, events)[0].failure.code == "execution.timed_out"
    assert bank.http.requests == []
