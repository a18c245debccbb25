"""Whether a workflow may use the credentials that it names: asked when it is saved, published, and started by hand.

The engine asks again when it opens them for a node, so that nothing here has to be believed later.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from budflow.graph.credential_needs import CredentialNeed, credential_needs
from budflow.graph.plan import Plan
from budflow.graph.suggest import closest, listed
from budflow.graph.validate import Checked, check
from budflow.model.credential import CredentialRecord
from budflow.model.principal import Principal
from budflow.model.problem import Problem, WorkflowInvalid
from budflow.model.workflow import VersionRecord
from budflow.services.check_sandbox import sandbox_problems
from budflow.services.use_case import Services

#: Among how many names of credentials the one is looked for that was meant.
NAMES_MAX = 200
LISTING = "credential:read"


@dataclass(frozen=True, slots=True)
class VersionUser:
    """A version that uses credentials: of which workflow ("" for one that is not stored), and who saved it."""

    workflow_id: str
    author: str


async def check_document(
    services: Services, principal: Principal, document: Any, *, workflow_id: str = "", author: str | None = None
) -> Checked:
    """What the validator says of a document, of the credentials that it names, as a version saved by `author`, and of
    the code in it, as this server would run it.

    Without `author` it is the principal who would save it.
    """
    checked = await asyncio.to_thread(check, document, services.registry)  # Large ones take a second.
    needs = () if checked.workflow is None else credential_needs(checked.workflow, services.registry)
    if checked.workflow is not None:
        checked = checked.with_problems(sandbox_problems(services, checked.workflow))
    user = VersionUser(workflow_id, author or principal.id)
    return checked.with_problems([one async for one in _problems(services, principal, user, needs)])


async def require_credentials(
    services: Services, principal: Principal, plan: Plan, version: VersionRecord, *, without: Iterable[str] = ()
) -> None:
    """Raise WorkflowInvalid where a run of the plan lacks a credential; the nodes `without` are not going to run."""
    left_out = frozenset(without)
    needs = [need for need in plan.credentials if need.node not in left_out]
    if not needs:
        return
    user = VersionUser(version.workflow_id, version.created_by)
    problems = tuple([one async for one in _problems(services, principal, user, needs)])
    if problems:
        raise WorkflowInvalid(problems=problems)


async def _problems(
    services: Services, principal: Principal, user: VersionUser, needs: Iterable[CredentialNeed]
) -> AsyncIterator[Problem]:
    known: dict[str, CredentialRecord | None] = {}
    for need in needs:
        reference = need.reference
        if reference not in known:
            known[reference] = await services.store.get_credential(principal.project_id, reference)
        record = known[reference]
        if record is None:
            yield await _unknown(services, principal, need)
        elif not record.grants.allow(workflow_id=user.workflow_id, author=user.author):
            message = f"The credential `{record.name}` is granted neither to this workflow nor to `{user.author}`."
            who = f"workflow:{user.workflow_id}" if user.workflow_id else f"principal:{user.author}"
            advice = f"Have it granted: `budflow credential update {record.name} --grant {who}`. Or use another."
            yield Problem("credential.not_granted", need.path, message, advice, "run")
        elif not _fits(services, need, record):
            message = (
                f"The credential `{record.name}` is of the kind `{record.kind}`, which `{need.slot}` does not take."
            )
            takes = f"of the kinds {listed(need.kinds)}" if need.kinds else "of a kind that signs HTTP requests"
            yield Problem("credential.wrong_kind", need.path, message, f"Use one {takes}.", "run")


async def _unknown(services: Services, principal: Principal, need: CredentialNeed) -> Problem:
    message = f"There is no credential `{need.reference}`."
    match = None
    if LISTING in principal.permissions:
        page = await services.store.list_credentials(principal.project_id, limit=NAMES_MAX)
        match = closest(need.reference, [record.name for record in page.credentials])
    if match is None:
        advice = (
            "List them with `list_credentials` or `budflow credential list`; ask a person for one that is missing with "
            "`request_credential`."
        )
        return Problem("credential.unknown", need.path, message, advice, "run")
    patch: tuple[dict[str, Any], ...] = ({"op": "replace", "path": need.path, "value": match},)
    return Problem("credential.unknown", need.path, message, f"Did you mean `{match}`?", "run", patch)


def _fits(services: Services, need: CredentialNeed, record: CredentialRecord) -> bool:
    kind = services.credential_kinds.get(record.kind)
    return kind is not None and kind.fits(need.kinds)
