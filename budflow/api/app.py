"""The HTTP application: every route of routes/, the webhook door before them, probes of its health, and metrics."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any, Protocol, get_args

from fastapi import Depends, FastAPI
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from budflow import __version__
from budflow.api import exposition, openapi
from budflow.api.front import Front
from budflow.api.problems import install_problem_handlers
from budflow.api.read_request import read_request
from budflow.api.route import Route, find_routes
from budflow.model.principal import Door, Principal
from budflow.services.credential_links import PREFIX as CREDENTIAL_REQUEST_PREFIX
from budflow.services.keys import Keys
from budflow.services.problem_document import ProblemDocument
from budflow.services.resume_links import PREFIX as RESUME_PREFIX
from budflow.services.use_case import Services

API_PREFIX = "/api/v1"
WEBHOOK_PREFIX = "/webhook/"
#: Our own clients say by which door the caller came in, so that executions show it. It grants nothing.
DOOR_HEADER = "X-Budflow-Door"
_DOORS = frozenset(get_args(Door)) - {"webhook"}


class Runtime(Protocol):
    """What the API needs of the process it runs in."""

    @property
    def services(self) -> Services: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def webhook_door(self) -> ASGIApp: ...

    @property
    def resume_door(self) -> ASGIApp: ...

    @property
    def credential_request_door(self) -> ASGIApp: ...


class Api(FastAPI):
    """FastAPI with the doors for strangers before it, describing its operations by `routes_by_id`."""

    def __init__(
        self,
        routes_by_id: Mapping[str, Route[Any, Any]],
        doors: Mapping[str, ASGIApp],
        services: Services,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.routes_by_id, self._doors, self._services = routes_by_id, tuple(doors.items()), services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Webhooks and links go straight to their doors: webhooks are the hot path, and strangers may call all of them
        by any host name, such as that of a tunnel.
        """
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        for prefix, door in self._doors:
            if scope["path"].startswith(prefix):
                await door(scope, receive, send)
                return
        began = time.perf_counter()

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")  # Starlette leaves it here when it has found one.
                seconds = time.perf_counter() - began
                template = None if route is None else route.path
                self._services.figures.note_request(scope["method"], template, message["status"], seconds)
            await send(message)

        await super().__call__(scope, receive, count)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            openapi.describe(super().openapi(), self.routes_by_id)
        return super().openapi()


def create_api(runtime: Runtime) -> FastAPI:
    """The ASGI application of a server. It has no lifespan: who serves it opens and closes the runtime."""
    routes = find_routes()
    api = Api(
        routes,
        {
            WEBHOOK_PREFIX: runtime.webhook_door,
            RESUME_PREFIX: runtime.resume_door,
            CREDENTIAL_REQUEST_PREFIX: runtime.credential_request_door,
        },
        runtime.services,
        title="BudFlow",
        version=__version__,
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=f"{API_PREFIX}/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    install_problem_handlers(api)
    for name, route in routes.items():
        _add(api, name, route, runtime)
    _add_metrics(api, runtime)
    _add_health(api, runtime.services)
    api.add_middleware(Front, host=runtime.services.settings.host)
    return api


def _add(api: FastAPI, name: str, route: Route[Any, Any], runtime: Runtime) -> None:
    authenticated = partial(_authenticate, runtime.keys)

    async def handle(request: HttpRequest, principal: Annotated[Principal, Depends(authenticated)]) -> Response:
        asked = await read_request(request, route)
        return route.response(await route.use_case(runtime.services, principal, asked))

    api.add_api_route(
        API_PREFIX + route.path,
        handle,
        methods=[route.method],
        operation_id=name,
        summary=openapi.summary(route.use_case.__doc__ or name),
        description=route.use_case.__doc__,
        tags=[route.tag],
        status_code=route.status,
        response_model=route.answer,
        response_class=route.response_class,
        responses={"default": {"model": ProblemDocument}},
    )


async def _authenticate(keys: Keys, request: HttpRequest) -> Principal:
    said = request.headers.get(DOOR_HEADER, "api")
    door: Door = said if said in _DOORS else "api"  # type: ignore[assignment] # a str that is one of Door's
    return keys.principal(request.headers.get("authorization"), door)


def _add_metrics(api: FastAPI, runtime: Runtime) -> None:
    authenticated = partial(_authenticate, runtime.keys)

    async def metrics(principal: Annotated[Principal, Depends(authenticated)]) -> Response:
        """Figures for Prometheus: of this process, and of the queue. The key of `BUDFLOW_METRICS_KEY` suffices."""
        return await exposition.expose(runtime.services, principal)

    example = "# TYPE budflow_leader gauge\nbudflow_leader 1.0\n"
    api.add_api_route(
        exposition.PATH,
        metrics,
        summary=openapi.summary(metrics.__doc__ or ""),
        operation_id="metrics",
        tags=["health"],
        response_class=PlainTextResponse,
        responses={200: {"content": {"text/plain": {"example": example}}}, "default": {"model": ProblemDocument}},
        openapi_extra={"x-permission": exposition.PERMISSION, "security": [{"key": []}]},
    )


def _add_health(api: FastAPI, services: Services) -> None:
    ok = {"status": "ok"}
    described: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"example": ok}}}}

    async def healthz() -> JSONResponse:
        """Whether the process answers."""
        return JSONResponse(ok)

    async def readyz() -> JSONResponse:
        """Whether the server can do its work: its database answers. Else 503."""
        await services.store.count_queued()
        return JSONResponse(ok)

    probes: tuple[Callable[[], Awaitable[JSONResponse]], ...] = (healthz, readyz)
    for probe in probes:
        api.add_api_route(
            f"/{probe.__name__}",
            probe,
            summary=openapi.summary(probe.__doc__ or ""),
            operation_id=probe.__name__,
            tags=["health"],
            responses=described,
        )
