"""The composition root of a runner: what runs nodes, put together the same way in a server and in a Ray actor."""

import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from budflow.credentials.find_kinds import find_kinds
from budflow.credentials.hand_over import HpkeHandOver
from budflow.egress.client import GuardedClient
from budflow.egress.files import RootedFiles
from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.execution.lists import ListStore
from budflow.execution.ports import CredentialReceiver, Heavy
from budflow.execution.tools import SNAPSHOT_EVENTS, Tools
from budflow.model.credential_kind import OpenCredential
from budflow.model.execution import Place
from budflow.nodes.registry import Registry, build


@dataclass(frozen=True, slots=True)
class Runner:
    """The node types this process knows and the tools they may use."""

    registry: Registry
    tools: Tools
    close: Callable[[], Awaitable[None]]


class SealedHandOver:
    """Meets HandOver. The kinds are looked for with the first credential: most processes never see one."""

    def receiver(self, info: bytes) -> CredentialReceiver:
        """See HandOver."""
        return self._hpke.receiver(info)

    def seal(self, credential: OpenCredential, public_key: bytes, info: bytes) -> bytes:
        """See HandOver."""
        return self._hpke.seal(credential, public_key, info)

    @cached_property
    def _hpke(self) -> HpkeHandOver:
        return HpkeHandOver(find_kinds())


def open_runner(
    http_allow: tuple[str, ...],
    place: Place | None = None,
    heavy: Heavy | None = None,
    *,
    file_roots: tuple[Path, ...] = (),
    lists: ListStore | None = None,
    snapshot_events: int = SNAPSHOT_EVENTS,
) -> Runner:
    """Everything that a run needs in this process. `place` is this process, unless an executor knows better.

    Without `lists` long lists stay in memory.
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
        hand_over=SealedHandOver(),
    )
    return Runner(build(), tools, client.aclose)
