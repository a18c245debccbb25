"""The armed webhooks of this process: from a method and a path to the trigger that answers it."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from budflow.errors import BudflowError
from budflow.execution.wakes import Wakes
from budflow.log import get_log
from budflow.model.workflow import WebhookRoute

log = get_log(__name__)

_PARAMETER = re.compile(r"^\{(\w+)\}$")


class WebhookSource(Protocol):
    """Where the armed webhooks are stored."""

    async def list_webhooks(self) -> list[WebhookRoute]: ...


class WebhookUnknown(BudflowError):
    """No webhook answers at this path."""

    code = "webhook.not_found"
    http_status = 404
    hint = "Check the path; the workflow must be published for its webhook to answer."


class MethodRefused(BudflowError):
    """The webhook at this path does not answer this method."""

    code = "webhook.method_not_allowed"
    http_status = 405
    hint = "Use one of the methods in `Allow`, or add this one to the trigger's `methods`."


@dataclass(frozen=True, slots=True)
class Match:
    """The webhook that was asked for; `params` are the decoded segments in place of the braces of its path."""

    route: WebhookRoute
    params: Mapping[str, str]


@dataclass(slots=True)
class _Branch:
    """One segment deep in the tree of paths; `routes` holds what ends here, by method."""

    fixed: dict[str, "_Branch"] = field(default_factory=dict)
    parameter: "_Branch | None" = None
    routes: dict[str, tuple[WebhookRoute, tuple[str, ...]]] = field(default_factory=dict)


class WebhookTable:
    """Meets budflow.services.ports.TriggerTable. A lookup costs the length of the path, however many webhooks."""

    def __init__(self, source: WebhookSource) -> None:
        self._source = source
        self._root = _Branch()
        self._begun = self._shown = 0  # The refreshes so far, and the latest of those whose table is in use.

    async def refresh(self) -> None:
        """Read again what is armed; requests meet the old table or the new one, never a mixture.

        Of several at a time the one that began last counts: it saw what the others may have come too early for.
        """
        self._begun += 1
        number = self._begun
        routes = await self._source.list_webhooks()
        if number > self._shown:
            self._shown, self._root = number, _tree(routes)

    async def follow(self, wakes: Wakes, seconds: float) -> None:
        """Refresh for ever, for servers that share a database: when one tells that it published, and now and then."""
        told = asyncio.Event()
        end = wakes.listen("triggers", lambda _: told.set())
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await told.wait()
                told.clear()
                try:
                    await self.refresh()
                except BudflowError as error:
                    log.warning("webhooks.refresh_failed", code=error.code, message=error.message)
        finally:
            end()

    def match(self, method: str, path: str) -> Match:
        """Find the webhook for `path`, which is percent-encoded and without a leading slash.

        A segment that stands as such in a webhook's path wins over one in braces. Raises WebhookUnknown, or
        MethodRefused where only other methods are answered.
        """
        try:
            segments = [unquote(segment, errors="strict") for segment in path.split("/")]
        except UnicodeDecodeError:
            raise WebhookUnknown from None
        values: list[str] = []
        allowed: set[str] = set()
        found = _find(self._root, segments, 0, method, values, allowed)
        if found is not None:
            route, names = found
            return Match(route, dict(zip(names, values, strict=True)))
        if allowed:
            raise MethodRefused(f"This webhook does not answer {method}.", allowed=sorted(allowed))
        raise WebhookUnknown


def _tree(routes: Iterable[WebhookRoute]) -> _Branch:
    root = _Branch()
    for route in routes:
        branch, names = root, []
        for segment in route.path.split("/"):
            parameter = _PARAMETER.match(segment)
            if parameter is None:
                branch = branch.fixed.setdefault(segment, _Branch())
            else:
                names.append(parameter[1])
                branch.parameter = branch.parameter or _Branch()
                branch = branch.parameter
        branch.routes[route.method] = (route, tuple(names))
    return root


def _find(
    branch: _Branch, segments: list[str], depth: int, method: str, values: list[str], allowed: set[str]
) -> tuple[WebhookRoute, tuple[str, ...]] | None:
    """Depth first, fixed segments before parameters; `values` are those of the branch that was found."""
    if depth == len(segments):
        allowed.update(branch.routes)
        return branch.routes.get(method)
    segment = segments[depth]
    fixed = branch.fixed.get(segment)
    if fixed is not None:
        found = _find(fixed, segments, depth + 1, method, values, allowed)
        if found is not None:
            return found
    if branch.parameter is None or not segment:
        return None
    values.append(segment)
    found = _find(branch.parameter, segments, depth + 1, method, values, allowed)
    if found is None:
        values.pop()
    return found
