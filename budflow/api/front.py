"""What stands around the API: a request must name a host of ours, and whatever breaks becomes a problem document."""

from collections.abc import Collection
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from budflow.api.problems import problem_response, unexpected_response
from budflow.errors import BudflowError

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class HostRefused(BudflowError):
    """This server does not answer under that name."""

    code = "request.host_refused"
    http_status = 421
    hint = "Use the address the server listens on; a proxy in front must send that as `Host`."


class Front:
    """ASGI middleware. The check of `Host` keeps web pages from reaching a server on loopback through a name of theirs
    that resolves to it (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        self._hosts = allowed_hosts(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if _host_name(Headers(scope=scope).get("host", "")) not in self._hosts:
            await problem_response(HostRefused(), scope["path"])(scope, receive, send)
            return
        began = False

        async def watch(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            if began or scope["type"] != "http":
                raise
            await unexpected_response(error, scope["path"])(scope, receive, send)


def allowed_hosts(bound: str) -> Collection[str]:
    """The names under which a server that listens on `bound` answers."""
    return LOOPBACK_HOSTS | {bound.strip("[]").lower()}


def _host_name(header: str) -> str:
    """The host without its port; an IPv6 address in its short form and without brackets."""
    name = header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0]
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")
