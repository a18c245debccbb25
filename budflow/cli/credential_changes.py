"""What `--host`, `--grant` and their opposites make of the hosts and grants that a credential has."""

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


def changed_grants(before: Mapping[str, Any], add: Sequence[str], revoke: Sequence[str]) -> dict[str, Any]:
    """The grants after a change, for the API. Raises UsageError for one to be revoked that is not there."""
    project = bool(before.get("project"))
    named = {place: list(before.get(place, ())) for place in _PLACES.values()}
    for text in revoke:
        kind, _, who = text.partition(":")
        if kind == "project" and project:
            project = False
        elif kind != "project" and who in named[_PLACES[kind]]:
            named[_PLACES[kind]].remove(who)
        else:
            raise UsageError(f"{text} is not granted.", hint="See `budflow credential show`.")
    for text in add:
        kind, _, who = text.partition(":")
        if kind == "project":
            project = True
        elif who not in named[_PLACES[kind]]:
            named[_PLACES[kind]].append(who)
    return {"project": project, **named}
