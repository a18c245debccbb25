"""get_status: what this server is made of and how it is doing, in real figures."""

import os
import platform
from typing import Any

from budflow import __version__
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, View, use_case


class GetStatus(RequestModel):
    """Nothing to choose."""


class StatusView(View):
    """The server's status."""

    version: str
    python: str
    pid: int
    database: str
    executor: dict[str, Any]
    runner: str
    running: int
    running_max: int
    queued: int
    node_types: int


@use_case("server:read")
async def get_status(services: Services, principal: Principal, request: GetStatus) -> StatusView:
    """Tell what the server uses and how much it has to do."""
    figures = services.supervisor.status()
    return StatusView(
        version=__version__,
        python=platform.python_version(),
        pid=os.getpid(),
        database="postgresql" if services.settings.database_url else "sqlite",
        executor=figures["executor"],
        runner=figures["runner"],
        running=figures["running"],
        running_max=figures["running_max"],
        queued=await services.store.count_queued(),
        node_types=len(services.registry.types()),
    )
