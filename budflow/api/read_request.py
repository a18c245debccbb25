"""From an HTTP request to the model that a use case takes, or every fault of it at once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request as HttpRequest

from budflow.api.route import Route
from budflow.errors import BudflowError
from budflow.graph.parse import read_json
from budflow.graph.suggest import hint
from budflow.model.problem import Problem, ProblemsFound, WorkflowInvalid
from budflow.model.workflow import DOCUMENT_BYTES_MAX
from budflow.services.use_case import RequestModel

#: Above the limit of a document, so that one that is a little too large is refused with that reason.
DOCUMENT_BODY_BYTES_MAX = 4 * DOCUMENT_BYTES_MAX
BODY_BYTES_MAX = DOCUMENT_BYTES_MAX
_DOCUMENT = "/document"


class RequestInvalid(ProblemsFound):
    """The request has problems."""

    code = "request.invalid"
    http_status = 422
    hint = "Mend what `problems` lists, each at its `path`; the operation's schema is in /api/v1/openapi.json."


class RequestTooLarge(BudflowError):
    """The request's body is too large."""

    code = "request.too_large"
    http_status = 413
    hint = (
        "Start several executions with fewer items each; or put the data where the workflow can fetch it, such as a "
        "file for `files.read_lines`."
    )


async def read_request(request: HttpRequest, route: Route[Any, Any]) -> RequestModel:
    """Gather path, query, headers and body into the route's model.

    Raises RequestInvalid, RequestTooLarge, and WorkflowInvalid for a document that is no JSON or has a key twice.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in request.query_params.multi_items():
        if route.has_body or name in values or name in route.in_path:
            problems.append(
                _unexpected(f"/{name}", f"The query parameter `{name}` is not expected here, or not twice.")
            )
        values[name] = value
    if route.has_body:
        body = await _read_object(request, holds_document="document" in route.request.model_fields)
        problems += [_unexpected(f"/{name}", f"`{name}` stands in the path.") for name in body.keys() & route.in_path]
        values = body
    if problems:
        raise RequestInvalid(problems=tuple(problems))
    for field, header in route.headers.items():
        if sent := request.headers.getlist(header):
            values[field] = ", ".join(sent)  # RFC 9110, 5.3; an empty one and several are told like any other value.
    values |= request.path_params
    try:
        return route.request.model_validate(values)  # type: ignore[no-any-return] # a Route of Any: found by walking
    except ValidationError as error:
        fields = route.request.model_fields.keys() - route.in_path
        # Without what came in: it may be the values of a credential.
        details = error.errors(include_url=False, include_input=False)
        raise RequestInvalid(problems=tuple(_problem(detail, fields) for detail in details)) from None


async def _read_object(request: HttpRequest, *, holds_document: bool) -> dict[str, Any]:
    raw = await _read_body(request, DOCUMENT_BODY_BYTES_MAX if holds_document else BODY_BYTES_MAX)
    if not raw.strip():
        return {}
    try:
        body = read_json(raw)
    except WorkflowInvalid as error:
        if holds_document:
            raise WorkflowInvalid(problems=tuple(_below_document(error.problems))) from error
        raise RequestInvalid(problems=tuple(_of_request(error.problems))) from error
    if not isinstance(body, dict):
        raise RequestInvalid(problems=(_unexpected("", "The body is no JSON object."),))
    return dict(body)


async def _read_body(request: HttpRequest, bytes_max: int) -> bytes:
    announced = request.headers.get("content-length", "0")
    too_large = RequestTooLarge(f"At most {bytes_max} bytes are taken.", bytes_max=bytes_max)
    if announced.isdigit() and int(announced) > bytes_max:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise too_large
    return bytes(body)


def _below_document(problems: tuple[Problem, ...]) -> Iterator[Problem]:
    """Paths lead into the document, as the validator's do, not into the body around it."""
    for problem in problems:
        yield replace(problem, path=problem.path.removeprefix(_DOCUMENT))


def _of_request(problems: tuple[Problem, ...]) -> Iterator[Problem]:
    for problem in problems:
        yield replace(problem, code=problem.code.replace("document.", "request."))


def _unexpected(path: str, message: str) -> Problem:
    return Problem("request.unexpected", path, message, "Leave it out, or look at the operation's schema.")


def _problem(detail: Mapping[str, Any], fields: Any) -> Problem:
    """One of pydantic's errors; `fields` are those that the caller may send."""
    where = detail["loc"]
    path = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in where)
    if detail["type"] == "extra_forbidden":
        wrong = str(where[-1])
        return Problem("request.unknown_field", path, f"There is no field `{wrong}`.", hint(wrong, fields, "field"))
    if detail["type"] == "missing":
        return Problem("request.missing_field", path, f"The field `{where[-1]}` is missing.", "Add it.")
    expected = detail.get("ctx", {}).get("expected")
    advice = f"Allowed: {expected}." if expected else "Send a value that fits the operation's schema."
    said = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    return Problem("request.invalid_value", path, f"{said[:1].upper()}{said[1:]}.", advice)
