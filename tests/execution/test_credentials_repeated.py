"""Credentials of what is taken over or repeated: opened and audited anew, and none of it is carried over."""

import asyncio
from typing import Any, cast

from budflow.execution.repeat import fork_events, retry_events
from budflow.model import event as e
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from tests.execution.fakes import FakeHttp, FakeLink, plan_of, run_to_end
from tests.execution.story import POST, Story, document, told
from tests.execution.vault import Vault

SIGNED = {**POST, "credentials": {"auth": "crm"}}
ITEMS = [{"n": 1}, {"n": 2}, {"n": 3}]


def given(story: Story) -> Vault:
    """A source without chance."""
    vault = Vault(crm="a secret of nobody")
    story.outside.vault = cast(Any, vault)
    story.outside.signed = {("caller", "post")}
    return vault


@told
async def test_who_takes_a_node_over_opens_its_credential_again_and_that_is_audited_too(story: Story) -> None:
    vault = given(story)
    server = await story.begin(document("post", SIGNED))
    story.outside.silent = True
    await story.submit([{}])
    await story.sees(e.CredentialsUsed)
    server.die()
    story.outside.silent = False
    await story.new_server()
    await story.quiet()

    assert (await story.row()).status == "succeeded"
    assert len(vault.opened) == len(await story.all(e.CredentialsUsed)) == 2
    page = await story.store.list_credential_uses("default", "crd_crm", limit=10)
    assert [(use.author, use.principal, use.node) for use in page.uses] == [("test", "test", "post")] * 2
    assert story.outside.unsigned == []


@told
async def test_what_was_done_of_a_node_stays_done_when_its_credential_is_gone_at_the_takeover(story: Story) -> None:
    vault = given(story)
    sent: list[str] = []

    async def send(request: HttpRequest, _credential: object = None) -> HttpResponse:
        sent.append(request.url)
        if len(sent) > 1:
            await asyncio.Event().wait()
        return HttpResponse(200, (), b"", request.url)

    story.outside.send = send  # type: ignore[assignment,method-assign] # it answers once
    server = await story.begin(document("post", {**SIGNED, "on_error": "continue"}))
    await story.submit(ITEMS)
    await story.sees(e.ItemsFinished)
    server.die()
    vault.take_away("crm")
    await story.new_server()
    await story.quiet()

    [finished] = [event for event in await story.all(e.NodeFinished) if event.node == "post"]
    codes = [None if item.error is None else item.error.code for item in finished.outputs["main"].items]
    assert codes == [None, "credential.not_found", "credential.not_found"]
    assert len(sent) == len(ITEMS)


async def test_a_repetition_begins_without_the_uses_of_the_old_execution() -> None:
    link, http = FakeLink(), FakeHttp(lambda request: 500 if request.url.endswith("second") else 200)
    link.vault.put("auth", "a secret of nobody")
    nodes: dict[str, Any] = {
        "start": {"type": "trigger.manual"},
        "first": {**SIGNED, "params": {"url": "https://example.com/first"}},
        "second": {**SIGNED, "params": {"url": "https://example.com/second", "method": "POST"}},
    }
    edges = ["start > first", "first > second"]
    await run_to_end(nodes, edges, ITEMS[:1], link=link, http=http)
    admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of(ITEMS[:1]))
    _, plan = plan_of(nodes, edges)
    events = [admitted, *link.events]

    retried = retry_events(plan, events, admitted)
    forked = fork_events(plan, events, admitted, "second")

    assert len(link.of(e.CredentialsUsed)) == 2
    for kept in (retried, forked):
        assert [event.node for event in kept if isinstance(event, e.NodeFinished)] == ["start", "first"]
        assert not any(isinstance(event, e.CredentialsUsed) for event in kept)
