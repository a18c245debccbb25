"""Requirements as authors may write them: names and versions (PEP 508), and nothing that names a place or an option."""

import re
from collections.abc import Iterable

from budflow.model.sandbox import RequirementsFailed

COUNT_MAX = 100
LENGTH_MAX = 300

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_EXTRAS = rf"(?: ?\[ ?{_NAME}(?: ?, ?{_NAME}){{0,20}} ?\])?"
_CLAUSE = r"(?:~=|==|!=|<=|>=|<|>) ?[A-Za-z0-9](?:[A-Za-z0-9.!+_-]{0,60})(?:\.\*)?"
_TEXT = r"(?:'[A-Za-z0-9 ._+-]{0,60}'|\"[A-Za-z0-9 ._+-]{0,60}\")"
_TERM = rf"[a-z_]{{2,40}} ?(?:==|!=|<=|>=|~=|<|>|(?<= )in(?= )|(?<= )not in(?= )) ?{_TEXT}"
_MARKER = rf"(?: ?; ?{_TERM}(?: (?:and|or) {_TERM}){{0,9}})?"
_VERSIONS = rf"(?:{_CLAUSE}(?: ?, ?{_CLAUSE}){{0,20}})?"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})(?P<extras>{_EXTRAS}) ?(?P<versions>{_VERSIONS})(?P<marker>{_MARKER})", re.ASCII
)
#: What the worker itself is made of: another version of it would stand behind its own, and never be seen.
_OF_THE_WORKER = frozenset({"budflow", "websockets"})


def normalised(requirements: Iterable[str]) -> tuple[str, ...]:
    """The same text for the same requirements: sorted, each once, without spaces. Raises RequirementsFailed."""
    lines = {_normalised(text) for text in requirements}
    if len(lines) > COUNT_MAX:
        raise RequirementsFailed(f"There are more than {COUNT_MAX} requirements")
    return tuple(sorted(lines))


def _normalised(text: str) -> str:
    found = _REQUIREMENT.fullmatch(text.strip()) if len(text) <= LENGTH_MAX else None
    if found is None:
        raise RequirementsFailed(
            f"`{text[:80]!a}` is no requirement that can be installed",
            hint="Write a name and versions, such as `polars>=1.9,<2`: no options, addresses, files or directories.",
        )
    name = re.sub(r"[-_.]+", "-", found["name"]).lower()
    if name in _OF_THE_WORKER:
        raise RequirementsFailed(f"`{name}` is part of the sandbox's worker. Leave it out")
    extras = ",".join(
        sorted(extra.strip().lower() for extra in found["extras"].strip(" []").split(",") if extra.strip())
    )
    versions = ",".join(sorted(clause.replace(" ", "") for clause in found["versions"].split(",") if clause.strip()))
    marker = found["marker"].strip(" ;")
    return f"{name}{f'[{extras}]' if extras else ''}{versions}{f' ; {marker}' if marker else ''}"
