"""The composition root of a runner: what runs nodes, put together the same way in a server and in a Ray actor."""

import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from budflow.credentials.find_kinds import find_kinds
from budflow.credentials.hand_over import HpkeHandOver
from budflow.egress.client import GuardedClient
from budflow.egress.files import RootedFiles
from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.execution.heavy import Heavy
from budflow.execution.lists import ListStore
from budflow.execution.ports import HandOver
from budflow.execution.tools import SNAPSHOT_EVENTS, SandboxOf, Tools, no_sandbox
from budflow.model.execution import Place
from budflow.nodes.registry import Registry, build


@dataclass(frozen=True, slots=True)
class Runner:
    """The node types this process knows and the tools they may use."""

    registry: Registry
    tools: Tools
    close: Callable[[], Awaitable[None]]


def open_hand_over() -> HandOver:
    """Seals credentials for other processes, and opens those that are sealed for this one."""
    return HpkeHandOver(cache(find_kinds))


def open_runner(
    http_allow: tuple[str, ...],
    place: Place | None = None,
    heavy: Heavy | None = None,
    *,
    file_roots: tuple[Path, ...] = (),
    lists: ListStore | None = None,
    snapshot_events: int = SNAPSHOT_EVENTS,
    sandbox_of: SandboxOf = no_sandbox,
) -> Runner:
    """Everything that a run needs in this process. `place` is this process, unless an executor knows better.

    Without `lists` long lists stay in memory, and without `sandbox_of` no code runs.
    """
    client = GuardedClient(AddressPolicy(parse_allow(http_allow)))
    here = place or Place("inprocess", socket.gethostname(), os.getpid())
    tools = Tools(
        here,
        client,
        heavy,
        files=RootedFiles(file_roots),
        lists=lists,
        snapshot_events=snapshot_events,
        hand_over=open_hand_over(),
        sandbox_of=sandbox_of,
    )
    return Runner(build(), tools, client.aclose)
