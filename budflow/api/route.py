"""A route of the API: by which method and path which use case is called; found by walking routes/."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from budflow.api import routes
from budflow.services.use_case import RequestModel, UseCase

Request = TypeVar("Request", bound=RequestModel)
Result = TypeVar("Result")

#: The headers of routes that start executions.
STARTING: Mapping[str, str] = {"idempotency_key": "Idempotency-Key", "traceparent": "traceparent"}

_IN_PATH = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Example:
    """What OpenAPI shows: the path's and the query's values, the body where there is one, and the answer to it."""

    answer: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Route(Generic[Request, Result]):
    """One operation. A field of `request` comes from the path where it stands there, else from the body, or from the
    query where the method has no body; `headers` names fields that may come by a header too, which then wins.

    `answer` is the shape for OpenAPI. `render` makes the response where it is no JSON of that shape.
    """

    method: str
    path: str
    use_case: UseCase[Request, Result]
    request: type[Request]
    answer: type[BaseModel] | None
    example: Example
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    response_class: type[Response] = JSONResponse
    render: Callable[[Result], Response] | None = None

    @property
    def in_path(self) -> frozenset[str]:
        """The fields that stand in the path."""
        return frozenset(_IN_PATH.findall(self.path))

    @property
    def has_body(self) -> bool:
        """Whether the fields that do not stand in the path come in a JSON body."""
        return self.method in ("POST", "PUT", "PATCH") and bool(self.request.model_fields.keys() - self.in_path)

    @property
    def tag(self) -> str:
        """What it is about, such as `workflows`."""
        return self.path.split("/")[1]

    def response(self, result: Result) -> Response:
        """The response to what the use case answered."""
        if self.render is not None:
            return self.render(result)
        if not isinstance(result, BaseModel):
            raise TypeError(f"{self.use_case.name} answers no model: its route needs `render`")
        return Response(result.model_dump_json(), self.status, media_type=JSONResponse.media_type)


def find_routes() -> dict[str, Route[Any, Any]]:
    """The `ROUTE` of every module in routes/, by the module's name, which is the operation's id."""
    names = sorted(module.name for module in pkgutil.iter_modules(routes.__path__))
    return {name: importlib.import_module(f"{routes.__name__}.{name}").ROUTE for name in names}
