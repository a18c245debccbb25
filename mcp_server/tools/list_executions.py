"""list_executions: what ran lately, and how it ended."""

from pydantic import Field

from budflow.services.list_executions import ListExecutions, list_executions
from mcp_server.tool import Tool


class ListExecutionsBriefly(ListExecutions):
    """Which executions; fewer than the HTTP API gives, since an agent reads each of them."""

    limit: int = Field(15, ge=1, le=200, description="How many at most.")


TOOL = Tool.of(
    list_executions,
    title="List executions",
    description=(
        "List executions, newest first, of one workflow or with one status if you say so (`waiting`: get_execution "
        "shows what for). Go on with `next_cursor`."
    ),
    arguments=ListExecutionsBriefly,
    read_only=True,
)
