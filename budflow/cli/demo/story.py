"""The demo's steps: an agent builds a workflow over MCP, a signed webhook runs it, both doors read it back."""

import hashlib
import hmac
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import orjson

import budflow
from budflow.cli.demo.owners_service import owners_service
from budflow.cli.demo.server_process import ServerProcess, server_process
from budflow.errors import BudflowError
from mcp_server.client import ToolClient, connect

SECRET = "demo-secret-shared-with-github"  # noqa: S105 - made up for the demo, which ends with the server it protects
_PACKAGE = Path(budflow.__file__).parent
#: Inside the package where it was installed from a wheel, beside it in a checkout.
EXAMPLES = (_PACKAGE if (_PACKAGE / "examples").is_dir() else _PACKAGE.parent) / "examples" / "github"

Tell = Callable[[str, Any], None]


class DemoFailed(BudflowError):
    """The demo did not do what it says."""

    code = "demo.failed"
    hint = "This is a fault of BudFlow or of this machine; `budflow doctor` checks the latter."


@dataclass(frozen=True, slots=True)
class Finding:
    """What the demo ends with: the answer to the webhook, and the executions as read back."""

    answer: dict[str, Any]
    parent: dict[str, Any]
    child: dict[str, Any]
    docs: str
    dashboard: str | None


async def run_demo(executor: str, tell: Tell) -> Finding:
    """Do all steps; `tell(step, what)` hears of each. Raises BudflowError when one does not do what it should."""
    with TemporaryDirectory(prefix="budflow-demo-") as folder, owners_service() as service:
        variables = {
            "BUDFLOW_EXECUTOR": executor,
            "BUDFLOW_HTTP_ALLOW": service,
            "BUDFLOW_SECRET_GITHUB_WEBHOOK": SECRET,
        }
        async with AsyncExitStack() as stack:
            began = time.perf_counter()
            server = await stack.enter_async_context(server_process(Path(folder) / "data", variables))
            tell("server", {"address": server.address, "pid": server.pid, "seconds": time.perf_counter() - began})
            agent = await stack.enter_async_context(connect(f"{server.address}/mcp", server.key))
            await build(agent, service, tell)
            dashboard = await _wait_for_ray(server, tell) if executor == "ray" else None
            answer, execution_id = await push(server, tell)
            parent, child = await read_back(server, agent, execution_id)
            if executor == "ray":
                require_ray(server, parent, child)
            return Finding(answer, parent, child, f"{server.address}/api/v1/docs", dashboard)


async def build(agent: ToolClient, service: str, tell: Tell) -> None:
    """What an agent does: search, read, validate, mend, create, publish."""
    found = await agent.call("search_nodes", {"query": "http request", "limit": 3})
    tell("search", found["nodes"])
    node = await agent.call("get_node", {"type": "http.request"})
    tell("node", node)
    review = orjson.loads((EXAMPLES / "review_push.json").read_bytes())
    review["nodes"]["owners"]["params"]["url"] = f"http://{service}/owners/{{{{ $json.body.repository.full_name }}}}"
    wrong = await agent.call("validate_workflow", {"document": with_mistakes(review)})
    tell("problems", wrong["problems"])
    if wrong["can_save"] or len(wrong["problems"]) < 4:
        raise DemoFailed("The validator let a wrong workflow pass.")
    assess = orjson.loads((EXAMPLES / "assess_commits.json").read_bytes())
    callee = await _create_and_publish(agent, assess)
    review["nodes"]["assess"]["params"]["workflow"] = callee["workflow"]["id"]
    published = await _create_and_publish(agent, review)
    tell("published", published)


def with_mistakes(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the mistakes that agents make most: a type, a port, a parameter, an expression, an edge."""
    wrong = deepcopy(document)
    wrong["nodes"]["owners"]["type"] = "http.requests"
    wrong["nodes"]["commits"]["params"] = {"fields": "body.commits"}
    wrong["nodes"]["answer"]["params"]["body"]["commits"] = "{{ len($node.asses.items) }}"
    wrong["edges"][3] = {"from": "commits.items", "to": "assess"}
    wrong["edges"][7] = {"from": "report", "to": "anwser"}
    return wrong


async def push(server: ServerProcess, tell: Tell) -> tuple[dict[str, Any], str]:
    """Send GitHub's push event, signed as GitHub signs it; gives the answer and the execution's id."""
    payload = (EXAMPLES / "push.json").read_bytes()
    signature = "sha256=" + hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push"}
    async with httpx2.AsyncClient(base_url=server.address, timeout=60) as http:
        forged = await http.post(
            "/webhook/github/push", content=payload, headers={**headers, "X-Hub-Signature-256": "sha256=" + "0" * 64}
        )
        if forged.status_code != httpx2.codes.UNAUTHORIZED:
            raise DemoFailed(f"A forged signature was answered with {forged.status_code}.")
        began = time.perf_counter()
        answer = await http.post(
            "/webhook/github/push", content=payload, headers={**headers, "X-Hub-Signature-256": signature}
        )
        spent = time.perf_counter() - began
    if answer.status_code != httpx2.codes.OK:
        raise DemoFailed(f"The webhook was answered with {answer.status_code}: {answer.text[:500]}")
    body: dict[str, Any] = answer.json()
    tell("answer", {"body": body, "milliseconds": spent * 1000, "payload_bytes": len(payload)})
    return body, answer.headers["X-Budflow-Execution"]


async def read_back(
    server: ServerProcess, agent: ToolClient, execution_id: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The execution over HTTP and over MCP, which must agree, and the child that it called."""
    parent = await server.get(f"/api/v1/executions/{execution_id}/wait?wait_seconds=30")
    over_mcp = await agent.call("get_execution", {"execution_id": execution_id})
    seen = {(node["key"], node["status"], tuple(sorted(node["counts"].items()))) for node in parent["nodes"]}
    if seen != {(node["key"], node["status"], tuple(sorted(node["counts"].items()))) for node in over_mcp["nodes"]}:
        raise DemoFailed("MCP and the HTTP API tell different stories of the same execution.")
    if parent["execution"]["status"] != "succeeded":
        raise DemoFailed(f"The execution ended as {parent['execution']['status']}.")
    [child_id] = next(node["children"] for node in parent["nodes"] if node["key"] == "assess")
    return parent, await server.get(f"/api/v1/executions/{child_id}")


def require_ray(server: ServerProcess, parent: dict[str, Any], child: dict[str, Any]) -> None:
    """The sub-workflow must have run in a Ray actor: in another process than the server's and its parent's."""
    place, parents = child["nodes"][0]["place"], parent["nodes"][0]["place"]
    if place["executor"] != "ray" or place["pid"] in (server.pid, parents["pid"]) or place["actor"] is None:
        raise DemoFailed(f"The sub-workflow ran at {place}, not in a Ray actor of another process.")


async def _create_and_publish(agent: ToolClient, document: dict[str, Any]) -> dict[str, Any]:
    created = await agent.call("create_workflow", {"document": document})
    return await agent.call("publish_workflow", {"workflow_id": created["workflow"]["id"]})


async def _wait_for_ray(server: ServerProcess, tell: Tell) -> str | None:
    began = time.perf_counter()
    executor = await server.wait_for_ray()
    tell("ray", {"seconds": time.perf_counter() - began, **executor})
    dashboard: str | None = executor.get("dashboard")
    return dashboard
