"""Errors as HTTP responses: problem documents for all of them, those of the framework included."""

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Match

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.identity import new_id
from budflow.services.problem_document import MEDIA_TYPE, InternalError, ProblemDocument, problem_headers

log = get_log(__name__)


class RouteUnknown(BudflowError):
    """There is nothing at this path."""

    code = "request.path_unknown"
    http_status = 404
    hint = "The paths are listed in /api/v1/openapi.json."


class MethodNotAllowed(BudflowError):
    """This path does not answer this method."""

    code = "request.method_not_allowed"
    http_status = 405
    hint = "Use one of the methods in `Allow`."


class RequestRefused(BudflowError):
    """The request cannot be answered."""

    code = "request.refused"
    http_status = 400
    hint = "Look at the operation in /api/v1/openapi.json."


def problem_response(error: BudflowError, path: str) -> Response:
    """An error as a response."""
    if error.http_status >= 500:
        log.error("request.failed", code=error.code, message=error.message, path=path)
    body = ProblemDocument.of(error, path).json_bytes()
    return Response(body, error.http_status, problem_headers(error), MEDIA_TYPE)


def unexpected_response(error: Exception, path: str) -> Response:
    """What is no BudflowError: the log gets it whole under an id, the caller only the id."""
    error_id = new_id("err")
    log.error("request.broken", error_id=error_id, path=path, exc_info=error)
    return problem_response(InternalError(error_id=error_id), path)


def install_problem_handlers(api: FastAPI) -> None:
    """Answer with problem documents wherever FastAPI or Starlette would answer in a form of their own."""

    async def on_error(request: HttpRequest, error: Exception) -> Response:
        known = error if isinstance(error, BudflowError) else _framework_error(error, request)
        return problem_response(known, request.url.path)

    api.add_exception_handler(BudflowError, on_error)
    api.add_exception_handler(HTTPException, on_error)


def _framework_error(error: Exception, request: HttpRequest) -> BudflowError:
    status = error.status_code if isinstance(error, HTTPException) else 400
    if status == RouteUnknown.http_status:
        return RouteUnknown()
    if status == MethodNotAllowed.http_status:
        return MethodNotAllowed(allowed=_allowed(request))
    return RequestRefused()


def _allowed(request: HttpRequest) -> list[str]:
    """Every method that the path answers; Starlette's own error names those of the first route that fits."""
    fitting = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in fitting for method in getattr(route, "methods", None) or ()})
