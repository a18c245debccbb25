"""list_credentials over MCP."""

import pytest

from budflow.app import Runtime
from budflow.model.principal import Principal
from budflow.services.create_credential import CreateCredential, create_credential
from tests.mcp_server.conftest import Agent

VALUE = "canary-51c0ffee"


@pytest.fixture(autouse=True)
async def stored(runtime: Runtime, principal: Principal) -> None:
    """Two more credentials than a page has."""
    for number in range(52):
        asked = CreateCredential(
            kind="bearer", name=f"crm-{number:02}", values={"token": VALUE}, hosts=["crm.example.com"]
        )
        await create_credential(runtime.services, principal, asked)


async def test_an_agent_sees_what_it_can_name_and_no_value(agent: Agent) -> None:
    page = await agent.call("list_credentials")

    first = page["credentials"][0]
    assert first.pop("id").startswith("crd_")
    assert first == {"name": "crm-00", "kind": "bearer", "hosts": ["crm.example.com"]}
    assert {"bearer", "basic"} <= set(page["kinds"])
    assert VALUE not in str(page)


async def test_the_list_goes_on_at_its_cursor(agent: Agent) -> None:
    page = await agent.call("list_credentials")
    rest = await agent.call("list_credentials", cursor=page["next_cursor"])

    assert [one["name"] for one in rest["credentials"]] == ["crm-50", "crm-51"]
    assert rest["next_cursor"] is None


async def test_a_cursor_that_is_none_is_refused_with_the_argument(agent: Agent) -> None:
    _, error = await agent.refused("list_credentials", cursor="NO CURSOR")

    assert error["code"] == "mcp.arguments_invalid"
