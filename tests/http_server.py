"""A server without a process: the HTTP application over a store in memory, and a client that holds its key."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from budflow.api.app import create_api
from budflow.app import Runtime, open_temporary
from budflow.settings import Settings
from tests.exchange import ASGIApp

KEY = "Authorization"


@dataclass
class HttpServer:
    """`client` is the owner, `stranger` has no key."""

    runtime: Runtime
    app: ASGIApp
    client: httpx2.AsyncClient
    stranger: httpx2.AsyncClient

    async def create(self, document: Mapping[str, Any]) -> str:
        """Store a workflow; returns its id."""
        saved = await self.client.post("/api/v1/workflows", json={"document": document})
        assert saved.status_code == 201, saved.text
        workflow_id: str = saved.json()["workflow"]["id"]
        return workflow_id

    async def publish(self, document: Mapping[str, Any]) -> str:
        """Store a workflow and arm it; returns its id."""
        workflow_id = await self.create(document)
        published = await self.client.post(f"/api/v1/workflows/{workflow_id}/publish")
        assert published.status_code == 200, published.text
        return workflow_id

    async def ended(self, execution_id: str) -> dict[str, Any]:
        """The execution with its nodes, when it has ended."""
        answer = await self.client.get(f"/api/v1/executions/{execution_id}/wait", params={"wait_seconds": 60})
        detail: dict[str, Any] = answer.json()
        assert detail["execution"]["finished_at"] is not None, detail
        return detail


@asynccontextmanager
async def open_http_server(**settings: Any) -> AsyncIterator[HttpServer]:
    """A server with these settings over the defaults."""
    async with open_temporary(Settings(**settings)) as runtime:
        app = create_api(runtime)
        transport = httpx2.ASGITransport(app)
        key = {KEY: f"Bearer {owner_key_of(runtime)}"}
        async with (
            httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=key) as client,
            httpx2.AsyncClient(transport=transport, base_url="http://localhost") as stranger,
        ):
            yield HttpServer(runtime, app, client, stranger)


def owner_key_of(runtime: Runtime) -> str:
    """The key of a runtime that has no data directory to keep it in."""
    return runtime.keys._owner_key.decode()


def workflow(nodes: Mapping[str, Any], *edges: tuple[str, str], name: str = "Test", **settings: Any) -> dict[str, Any]:
    """A document in short: nodes as (type, params), edges as (from, to)."""
    return {
        "format": 1,
        "name": name,
        "nodes": {key: {"type": type_name, "params": params} for key, (type_name, params) in nodes.items()},
        "edges": [{"from": source, "to": target} for source, target in edges],
        "settings": settings,
    }
