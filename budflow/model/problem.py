"""What is wrong with what somebody sent: every problem at once, each with a place and what to do."""

from dataclasses import dataclass
from typing import Any, Literal

from budflow.errors import BudflowError

Blocks = Literal["save", "publish", "run"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a workflow document, or of another request.

    `path` is a JSON Pointer (RFC 6901) into what was sent; `patch` is a JSON Patch (RFC 6902) that mends the fault
    where the mend is certain enough to propose. Each patch is meant for the document as it was checked.
    `blocks` is what the fault forbids: `save` forbids everything, `run` running and publishing, `publish` only
    publishing.
    """

    code: str
    path: str
    message: str
    hint: str
    blocks: Blocks = "save"
    patch: tuple[dict[str, Any], ...] = ()


def pointer(*parts: object) -> str:
    """The JSON Pointer (RFC 6901) of keys and indices; without any it is "", the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


class ProblemsFound(BudflowError):
    """There are problems."""

    def __init__(
        self, message: str | None = None, *, problems: tuple[Problem, ...] = (), hint: str | None = None
    ) -> None:
        """`message` defaults to the first problem's place and message, and how many more there are."""
        self.problems = problems
        if message is None and problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            message = f"{problems[0].path or '/'}: {problems[0].message}{more}"
        super().__init__(message, hint=hint)

    def __reduce__(self) -> tuple[Any, ...]:
        # As in BudflowError; what it does would lose the problems.
        return (_rebuild, (type(self), self.message, self.problems, self.hint))


def _rebuild(kind: type[ProblemsFound], message: str, problems: tuple[Problem, ...], hint: str) -> ProblemsFound:
    return kind(message, problems=problems, hint=hint)


class WorkflowInvalid(ProblemsFound):
    """The workflow document has problems."""

    code = "workflow.invalid"
    http_status = 422
    hint = "Mend what `problems` lists, each at its `path`, and send the whole document again."
