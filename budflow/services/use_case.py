"""What every use case has: a permission that is checked before it runs, and that its doors can show."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from budflow.execution.lists import ListStore
from budflow.execution.plans import PlanCache
from budflow.execution.supervisor import Supervisor
from budflow.execution.wakes import Wakes
from budflow.model.principal import PERMISSIONS, Principal
from budflow.nodes.registry import Registry
from budflow.services.cluster_watch import ClusterWatch
from budflow.services.credential_ports import Cipher, CredentialCache, Kinds, Prober
from budflow.services.door_figures import DoorFigures
from budflow.services.leader_ports import Leaders
from budflow.services.ports import Store, TriggerTable
from budflow.services.resume_links import ResumeLinks
from budflow.services.retention import BlobFiles
from budflow.services.sandbox_ports import SandboxStatus
from budflow.settings import Settings

#: Versions, sequence numbers and offsets that any database can hold; whatever is counted stays far below.
NUMBER_MAX = 2**31 - 1

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Services:
    """What the use cases work with, put together once by the composition root."""

    store: Store
    plans: PlanCache
    supervisor: Supervisor
    registry: Registry
    triggers: TriggerTable
    settings: Settings
    links: ResumeLinks
    lists: ListStore
    blobs: BlobFiles
    credential_kinds: Kinds
    cipher: Cipher
    credentials: CredentialCache
    prober: Prober
    leaders: Leaders
    wakes: Wakes
    sandbox: SandboxStatus
    cluster: ClusterWatch = field(default_factory=ClusterWatch)
    figures: DoorFigures = field(default_factory=DoorFigures)


class RequestModel(BaseModel):
    """What a use case is asked: the same model behind HTTP, MCP and CLI."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class View(BaseModel):
    """What a use case answers."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True)
class UseCase(Generic[Request, Answer]):
    """A use case: `await it(services, principal, request)`. Raises PermissionMissing before anything happens."""

    name: str
    permission: str
    run: Callable[[Services, Principal, Request], Awaitable[Answer]]

    async def __call__(self, services: Services, principal: Principal, request: Request) -> Answer:
        principal.require(self.permission)
        return await self.run(services, principal, request)


def use_case(
    permission: str,
) -> Callable[[Callable[[Services, Principal, Request], Awaitable[Answer]]], UseCase[Request, Answer]]:
    """Declare a use case and the permission it needs."""
    if permission not in PERMISSIONS:
        raise ValueError(f"{permission} is not in PERMISSIONS")

    def declare(run: Callable[[Services, Principal, Request], Awaitable[Answer]]) -> UseCase[Request, Answer]:
        declared = UseCase(run.__name__, permission, run)
        # A frozen dataclass refuses update_wrapper's assignments; only the docstring matters, for the doors.
        object.__setattr__(declared, "__doc__", run.__doc__)
        return declared

    return declare
