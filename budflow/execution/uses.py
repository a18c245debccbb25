"""The audit of credentials: what is written of their uses, in the transaction of what happened with them."""

from collections.abc import Mapping
from datetime import datetime

from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.credential import CredentialUse
from budflow.model.execution import Execution


def uses_of(
    execution: Execution, plan: Plan, principal: str, at: datetime, node: str, credentials: Mapping[str, str]
) -> tuple[CredentialUse, ...]:
    """The uses of these credentials (ids by slot) by the node with this path."""
    return tuple(
        CredentialUse(
            project_id=execution.project_id,
            credential_id=credential_id,
            used_at=at,
            workflow_id=execution.workflow_id,
            version=execution.version,
            execution_id=execution.id,
            node=node,
            slot=slot,
            author=plan.author,
            principal=principal,
        )
        for slot, credential_id in credentials.items()
    )


def uses_at_door(execution: Execution, plan: Plan, admitted: e.Admitted) -> tuple[CredentialUse, ...]:
    """Those of the door that an execution came in by."""
    return uses_of(execution, plan, admitted.principal, admitted.at, admitted.trigger, admitted.credentials)
