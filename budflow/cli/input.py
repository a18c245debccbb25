"""What --input brings in: JSON on the command line, from a file or from stdin, as items."""

from typing import Any

from budflow.cli.exit_codes import UsageError
from budflow.cli.options import read_file
from budflow.graph.parse import read_json
from budflow.model.problem import WorkflowInvalid


def read_items(given: str | None) -> list[dict[str, Any]]:
    """One object or a list of them, as a list; nothing given is one empty item. Raises UsageError."""
    if given is None:
        return [{}]
    value = read_value(given)
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, dict) for item in items):
        raise UsageError("--input is to be an object or a list of objects.", hint='Such as \'{"name": "Ada"}\'.')
    return items


def read_value(given: str) -> Any:
    """The JSON of --input itself, of the file behind @, or of stdin for a dash. Raises UsageError."""
    text = read_file(given.removeprefix("@")) if given == "-" or given.startswith("@") else given
    try:
        return read_json(text)
    except WorkflowInvalid as error:
        said = "; ".join(problem.message for problem in error.problems)
        raise UsageError(f"--input: {said}", hint='Give JSON, such as \'{"name": "Ada"}\', or @FILE.') from error
