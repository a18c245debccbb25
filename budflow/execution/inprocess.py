"""The executor `inprocess`: runs on the event loop of the server itself."""

from collections.abc import Mapping
from typing import Any

from budflow.execution.ports import Link, Running, Work
from budflow.execution.run import Run
from budflow.execution.tools import Tools


class InProcessExecutor:
    """Advances executions in this process; heavy segments go where `tools.heavy` takes them."""

    name = "inprocess"

    def __init__(self, tools: Tools, runner: str) -> None:
        self._tools, self._runner = tools, runner

    def start(self, work: Work, link: Link) -> Running:
        """See Executor."""
        run = Run(work, link, self._tools, self._runner)
        run.start()
        return run

    def status(self) -> Mapping[str, Any]:
        """See Executor."""
        return {"name": self.name, "host": self._tools.place.host, "pid": self._tools.place.pid}

    async def close(self) -> None:
        """See Executor."""
