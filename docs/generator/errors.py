"""docs/reference/errors.md: every code that an answer, a failed execution or the validator may carry."""

import importlib
import pkgutil
from collections.abc import Iterator
from itertools import groupby

import budflow.api
import budflow.graph
import budflow.services
import mcp_server
import ray_jobs
from budflow.errors import BudflowError
from generator.markdown import Page, code, page, sentence, table
from generator.problems import DEFAULT_BLOCKS, problems

PACKAGES = (budflow, mcp_server, ray_jobs)


def pages() -> Iterator[Page]:
    """The one page."""
    import_everything()
    found = sorted(error_types(), key=lambda error: error.code)
    # Of what the use cases find, only faults of credentials are in the way of storing them.
    made = problems(budflow.services)
    parts = [
        "# Errors",
        "Every error has a code that never changes, a message, and a hint that says what to do. Over HTTP it is a "
        "problem document (RFC 9457, `application/problem+json`); over MCP and on the command line it carries the same "
        "code and the same hint; on a failed node or execution it stands as `failure`. *Retriable* errors are the only "
        "ones that a node's `retry` tries again.",
    ]
    for subject, errors in groupby(found, key=lambda error: error.code.partition(".")[0]):
        rows = ([code(error.code), str(error.http_status), _meaning(error), error.hint] for error in errors)
        parts += [f"## {subject}", table(["code", "HTTP", "meaning", "what to do"], rows)]
    parts += [
        "# Problems of a workflow document",
        "The validator reports every problem of a document at once, each with a code, a JSON Pointer into the "
        "document, a message, a hint and, where the mend is certain enough, a JSON Patch. *Forbids* says what the "
        "problem is in the way of: `save` everything, `run` running and publishing, `publish` publishing alone. An "
        "expression that does not compile is reported with the code of its error, `expression.invalid`. In the texts "
        "below `…` stands for what differs from document to document.",
        table(
            ["code", "forbids", "message", "what to do"],
            (
                [code(found.code), code(found.blocks), found.message, found.hint]
                for found in (*problems(budflow.graph), *(found for found in made if found.blocks != DEFAULT_BLOCKS))
            ),
        ),
        "# Problems of a credential",
        "What is wrong with a credential that is made or changed is told as `credential.invalid`, all of it at once; "
        "no message quotes a value.",
        table(
            ["code", "message", "what to do"],
            ([code(found.code), found.message, found.hint] for found in made if found.blocks == DEFAULT_BLOCKS),
        ),
        "# Problems of a request",
        "A request to the HTTP API that is faulty in itself is refused as `request.invalid`, also with all its "
        "problems at once. What is wrong with the JSON is told as for a document, with `request.` in place of "
        "`document.`.",
        table(
            ["code", "message", "what to do"],
            ([code(found.code), found.message, found.hint] for found in problems(budflow.api)),
        ),
    ]
    yield page("reference/errors.md", *parts)


def import_everything() -> None:
    """Import every module of the three packages, so that every class is known."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def error_types(kind: type[BudflowError] = BudflowError) -> Iterator[type[BudflowError]]:
    """Every class below `kind` that has a code of its own, in modules of the three packages."""
    names = tuple(f"{package.__name__}." for package in PACKAGES)
    for child in kind.__subclasses__():
        if "code" in vars(child) and child.__module__.startswith(names):
            yield child
        yield from error_types(child)


def _meaning(error: type[BudflowError]) -> str:
    meaning = sentence((error.__doc__ or "").strip().splitlines()[0])
    return f"{meaning} *Retriable.*" if getattr(error, "retriable", False) is True else meaning
