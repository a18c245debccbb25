"""request_credential over MCP: the value goes from a person to the server, past the agent."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp import Client

from budflow.api.app import create_api
from budflow.app import Runtime, open_temporary
from budflow.model.principal import Principal
from budflow.settings import Settings
from mcp_server.server import build_server
from tests.mcp_server.conftest import Agent

PUBLIC = "https://flows.example"
VALUE = "canary-51c0ffee"
ASK: dict[str, Any] = {
    "kind": "bearer",
    "name": "crm",
    "hosts": ["crm.example.com"],
    "reason": "To read the prices of orders.",
}


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with open_temporary(Settings(public_url=PUBLIC)) as runtime:
        yield runtime


@pytest.fixture
async def person(runtime: Runtime) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser without a key."""
    transport = httpx2.ASGITransport(create_api(runtime))
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC) as client:
        yield client


async def test_a_person_enters_the_value_and_the_agent_sees_only_that_it_is_there(
    agent: Agent, person: httpx2.AsyncClient
) -> None:
    asked = await agent.call("request_credential", **ASK)
    assert asked["url"].startswith(f"{PUBLIC}/credential-request/")
    assert "Never ask for the value" in asked["next"]
    assert (await agent.call("list_credentials"))["credentials"] == []

    entered = await person.post(asked["url"], data={"value.token": VALUE, "hosts": "crm.example.com"})

    assert entered.status_code == 200
    listed = await agent.call("list_credentials")
    assert [(one["name"], one["kind"]) for one in listed["credentials"]] == [("crm", "bearer")]
    assert VALUE not in str(listed)


async def test_a_request_that_cannot_be_answered_is_refused_at_once(agent: Agent, person: httpx2.AsyncClient) -> None:
    _, error = await agent.refused("request_credential", **{**ASK, "kind": "bearr"})
    assert error["code"] == "credential.invalid"
    assert "Did you mean `bearer`" in str(error)

    _, nowhere = await agent.refused("request_credential", **{**ASK, "hosts": []})
    assert "/hosts" in str(nowhere["problems"])

    url = (await agent.call("request_credential", **ASK))["url"]
    await person.post(url, json={"values": {"token": VALUE}})
    _, taken = await agent.refused("request_credential", **ASK)
    assert taken["code"] == "credential.name_taken"


async def test_there_is_no_way_to_hand_in_a_value(agent: Agent) -> None:
    text, error = await agent.refused("request_credential", **ASK, values={"token": VALUE})

    assert error["code"] == "mcp.arguments_invalid"
    assert VALUE not in text


@pytest.mark.parametrize("wrong", ["CRM", "crd_1", "", "a" * 65])
async def test_a_name_that_no_document_could_say_is_refused(agent: Agent, wrong: str) -> None:
    _, error = await agent.refused("request_credential", **{**ASK, "name": wrong})

    assert error["code"] == "mcp.arguments_invalid"


async def test_a_server_that_nobody_reaches_says_what_to_do(principal: Principal) -> None:
    async with (
        open_temporary(Settings()) as hidden,
        Client(build_server(hidden.services, lambda _: principal)) as client,
    ):
        _, error = await Agent(client).refused("request_credential", **ASK)

    assert error["code"] == "credential.links_unavailable"
    assert "budflow credential add" in error["hint"]
