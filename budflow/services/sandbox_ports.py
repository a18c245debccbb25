"""What the use cases ask of the sandbox: how it is doing."""

from collections.abc import Mapping
from typing import Any, Protocol


class SandboxStatus(Protocol):
    """What the server runs code with."""

    async def describe(self) -> Mapping[str, Any]:
        """Its state and what it told of itself; starts nothing and raises nothing."""
        ...
