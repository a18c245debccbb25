"""The doors of a server as one ASGI application: the API with the webhooks, and MCP beside it."""

from budflow.api.app import create_api
from budflow.app import Runtime
from budflow.server.hand_over import ASGIApp, Receive, Scope, Send
from mcp_server.http import LOOPBACK_HOSTS, McpDoor


def api_and_mcp(runtime: Runtime) -> tuple[ASGIApp, McpDoor]:
    """The application, and its part that has sessions to drain."""
    door = McpDoor(runtime.services, runtime.keys, hosts=LOOPBACK_HOSTS | {runtime.settings.host})
    api = create_api(runtime)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Before any router: Starlette's would answer a POST to `/mcp` by redirecting it to `/mcp/`.
        path = scope["path"]
        await (door if path == "/mcp" or path.startswith("/mcp/") else api)(scope, receive, send)

    return app, door
