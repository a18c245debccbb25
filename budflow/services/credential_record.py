"""The record of a credential: found by name or id, and made of what was entered once that has no problems."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from budflow.graph.suggest import hint
from budflow.graph.validate_credentials import is_reference
from budflow.model.credential import (
    GRANTS_MAX,
    CredentialNotFound,
    CredentialRecord,
    Grants,
    Sealed,
)
from budflow.model.credential_kind import CredentialKind
from budflow.model.host_pattern import allows
from budflow.model.identity import new_id, utc_now
from budflow.model.problem import Problem, pointer
from budflow.services.credential_seal import sealed
from budflow.services.credential_values import CredentialInvalid, values_problems
from budflow.services.use_case import Services

_UNSEALED = Sealed("", b"", b"")


@dataclass(frozen=True, slots=True)
class Entered:
    """What a credential is to be. `values` and `grants` None: they stay as they are, or are made up by default."""

    name: str
    kind: str
    values: Mapping[str, Any] | None = field(repr=False)
    hosts: tuple[str, ...]
    grants: Grants | None
    probe: Mapping[str, Any] | None


async def find_credential(services: Services, project_id: str, reference: str) -> CredentialRecord:
    """The credential of the project with this name or id. Raises CredentialNotFound."""
    found = await services.store.get_credential(project_id, reference) if is_reference(reference) else None
    if found is None:
        raise CredentialNotFound(f"There is no credential `{reference[:100]}`.")
    return found


async def new_credential(
    services: Services, project_id: str, entered: Entered, *, created_by: str
) -> tuple[CredentialRecord, dict[str, Any]]:
    """A sealed record that is not stored yet, and its values. Raises CredentialInvalid with every problem.

    By default who makes it may use it.
    """
    values = {name: value for name, value in (entered.values or {}).items() if value is not None}
    await check_entered(services, project_id, replace(entered, values=values))
    now = utc_now()
    record = CredentialRecord(
        id=new_id("crd"),
        project_id=project_id,
        name=entered.name,
        kind=entered.kind,
        revision=1,
        hosts=entered.hosts,
        grants=entered.grants or Grants(principals=frozenset({created_by})),
        probe=entered.probe,
        sealed=_UNSEALED,
        created_at=now,
        updated_at=now,
        created_by=created_by,
    )
    return sealed(record, values, services.cipher), values


async def check_entered(
    services: Services, project_id: str, entered: Entered, *, present: CredentialRecord | None = None
) -> None:
    """Raise CredentialInvalid with every problem of what was entered. `present` is the credential to be changed."""
    # In a thread: a kind may try a passphrase, which is slow by design.
    problems = await asyncio.to_thread(list, _own_problems(services, entered, present))
    problems += [one async for one in _grant_problems(services, project_id, entered.grants, present)]
    if problems:
        raise CredentialInvalid(problems=tuple(problems))


def kind_named(services: Services, name: str) -> type[CredentialKind]:
    """The kind with this name. Raises CredentialInvalid."""
    kind = services.credential_kinds.get(name)
    if kind is None:
        raise CredentialInvalid(problems=(_unknown_kind(name, services.credential_kinds),))
    return kind


def _own_problems(services: Services, entered: Entered, present: CredentialRecord | None) -> Iterator[Problem]:
    kind = services.credential_kinds.get(entered.kind)
    if kind is None:
        # Of one whose kind was taken out of the server all but its values can still be changed: its grants, above all.
        if present is None or entered.values is not None:
            yield _unknown_kind(entered.kind, services.credential_kinds)
        return
    if entered.values is not None:
        yield from values_problems(kind, entered.values)
    if kind.signs() and not entered.hosts:
        message = f"A credential of the kind `{kind.name}` signs requests: say where it may be sent."
        yield Problem("credential.hosts_missing", "/hosts", message, 'Write `["api.example.com"]`, `["*"]` for any.')
    if entered.probe is not None and not kind.signs():
        message = f"A credential of the kind `{kind.name}` signs no requests, so no request shows whether it works."
        yield Problem("credential.probe_unfit", "/probe", message, "Leave it out.")
    elif entered.probe is not None and not allows(entered.hosts, entered.probe["url"]):
        message = "The credential may not be sent to the host of this address."
        yield Problem(
            "credential.probe_elsewhere", "/probe/url", message, "Name one of `hosts`, or add its host there."
        )


def _unknown_kind(name: str, kinds: Iterable[str]) -> Problem:
    message = f"There is no kind of credentials `{name[:64]}`."
    return Problem("credential.unknown_kind", "/kind", message, hint(name, kinds, "kind"))


async def _grant_problems(
    services: Services, project_id: str, grants: Grants | None, present: CredentialRecord | None
) -> AsyncIterator[Problem]:
    if grants is None:
        return
    if (count := len(grants.principals) + len(grants.workflows)) > GRANTS_MAX:
        message = f"{count} grants; at most {GRANTS_MAX} are kept."
        yield Problem("credential.too_many_grants", "/grants", message, "Grant it to the project.")
        return
    known = frozenset[str]() if present is None else present.grants.workflows
    for workflow_id in sorted(grants.workflows - known):
        if await services.store.get_workflow(project_id, workflow_id) is None:
            message, advice = f"There is no workflow `{workflow_id}`.", "Find its id with `list_workflows`."
            yield Problem("credential.unknown_workflow", pointer("grants", "workflows"), message, advice)
