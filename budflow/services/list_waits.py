"""list_waits: what executions wait for that somebody can answer, the longest wait first."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from budflow.execution.records import OpenWait
from budflow.model.principal import Principal
from budflow.model.wait import ANSWERABLE, WantedWaits
from budflow.services.use_case import RequestModel, Services, View, use_case
from budflow.services.views import WaitView

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ListWaits(RequestModel):
    """Which waits."""

    limit: int = Field(50, ge=1, le=1000, description="How many at most.")
    cursor: str | None = Field(
        None,
        pattern=r"^\d{1,18}~\w{1,100}~wait:[a-z0-9_\[\]]{1,500}:\d{1,9}$",
        description="`next_cursor` of the page before.",
    )
    execution_id: str | None = Field(None, description="Only those of this execution.")
    reason: Literal["webhook", "form", "approval", "ask", "timer", "limit"] | None = Field(
        None, description="Only those for this reason; left out, all that somebody can answer."
    )


class WaitsView(View):
    """A page of open waits."""

    waits: list[WaitView]
    next_cursor: str | None = Field(description="Continues the list; null at its end.")


@use_case("execution:read")
async def list_waits(services: Services, principal: Principal, request: ListWaits) -> WaitsView:
    """List open waits, the oldest first: approvals, forms and requests that executions wait for."""
    wanted = WantedWaits(
        execution_id=request.execution_id,
        reasons=ANSWERABLE if request.reason is None else frozenset({request.reason}),
        after=None if request.cursor is None else _behind(request.cursor),
    )
    found = await services.store.list_waits(principal.project_id, wanted, limit=request.limit + 1)
    page = found[: request.limit]
    return WaitsView(
        waits=[WaitView.of(wait, services.links, principal) for wait in page],
        next_cursor=_cursor(page[-1]) if len(found) > len(page) else None,
    )


def _cursor(wait: OpenWait) -> str:
    return f"{(wait.opened_at - _EPOCH) // timedelta(microseconds=1)}~{wait.execution_id}~{wait.key}"


def _behind(cursor: str) -> tuple[datetime, str, str]:
    micros, execution_id, key = cursor.split("~")
    return _EPOCH + timedelta(microseconds=int(micros)), execution_id, key
