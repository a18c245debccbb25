"""What `--host`, `--grant` and their opposites ask of the API, by the hosts and grants that a credential has."""

from collections.abc import Mapping, Sequence
from typing import Any

from budflow.cli.exit_codes import UsageError

_PLACES = {"principal": "principals", "workflow": "workflows"}


def changed_hosts(before: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """The hosts after a change. Raises UsageError for one to be removed that is not there."""
    strange = [host for host in remove if host not in before]
    if strange:
        raise UsageError(f"{strange[0]} is none of its hosts.", hint=f"They are: {', '.join(before) or 'none'}.")
    return list(dict.fromkeys([*(host for host in before if host not in remove), *add]))


def grants_named(texts: Sequence[str]) -> dict[str, Any]:
    """What `project`, `workflow:ID` and `principal:ID` name, for the API."""
    named: dict[str, Any] = {"project": "project" in texts, **{place: [] for place in _PLACES.values()}}
    for text in dict.fromkeys(texts):
        kind, _, who = text.partition(":")
        if kind != "project":
            named[_PLACES[kind]].append(who)
    return named


def require_granted(before: Mapping[str, Any], texts: Sequence[str]) -> None:
    """Raise UsageError for what is to be revoked and is not among the grants of a credential."""
    for text in texts:
        kind, _, who = text.partition(":")
        if not (before["project"] if kind == "project" else who in before[_PLACES[kind]]):
            raise UsageError(f"{text} is not granted.", hint="See `budflow credential show`.")
