"""Errors as every door shows them: problem documents (RFC 9457) with BudFlow's code, hint and list of problems."""

from typing import Any

from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.problem import ProblemsFound
from budflow.services.use_case import View
from budflow.services.views import ProblemView

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2


class ProblemDocument(View):
    """Why a request was refused or failed."""

    type: str = Field(description="A URN made of the code: the same for every occurrence.")
    title: str = Field(description="What kind of error this is, in one sentence.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time.")
    code: str = Field(description="Stable; look it up in the docs.")
    hint: str = Field(description="What to do next.")
    instance: str | None = Field(None, description="The path that was asked for.")
    problems: list[ProblemView] | None = Field(None, description="Every problem of what was sent, each at its path.")
    details: dict[str, Any] | None = Field(None, description="What else is known, such as ids.")

    @staticmethod
    def of(error: BudflowError, instance: str | None = None) -> "ProblemDocument":
        """An error that was raised, as a document."""
        problems = error.problems if isinstance(error, ProblemsFound) else ()
        return ProblemDocument(
            type=problem_type(error.code),
            title=(type(error).__doc__ or error.message).strip().splitlines()[0],
            status=error.http_status,
            detail=error.message,
            code=error.code,
            hint=error.hint,
            instance=instance,
            problems=[ProblemView.of(problem) for problem in problems] or None,
            details=error.details or None,
        )

    def json_bytes(self) -> bytes:
        """The body of an answer: members that say nothing are left out."""
        return self.model_dump_json(exclude_none=True).encode()


class InternalError(BudflowError):
    """Something went wrong inside the server."""

    code = "server.internal_error"
    http_status = 500
    hint = "The server's log tells more: look for the `error_id`."


def problem_type(code: str) -> str:
    """The URI that names a kind of error."""
    return f"urn:budflow:error:{code}"


def problem_headers(error: BudflowError) -> dict[str, str]:
    """The header fields that belong to an error's status (RFC 9110: 401, 405, 408, 429 and 503 have one)."""
    match error.http_status:
        case 401:
            return {"WWW-Authenticate": 'Bearer realm="budflow"'}
        case 408:
            return {"Connection": "close"}
        case 405:
            return {"Allow": ", ".join(error.details.get("allowed", ()))}
        case 429 | 503:
            return {"Retry-After": str(RETRY_AFTER_SECONDS)}
        case _:
            return {}
