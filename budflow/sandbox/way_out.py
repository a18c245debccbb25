"""The port of the way out of a worker: an HTTP proxy in its directory, for the hosts of the task at work."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class WayOut(Protocol):
    """One worker's, until it is closed."""

    async def allow(self, hosts: Sequence[str], name: str) -> None:
        """From now on these hosts can be reached and no others; what is open is cut off. `name` is for the log."""
        ...

    async def close(self) -> None:
        """Cut off what is open, and remove the socket."""
        ...


class Egress(Protocol):
    """Serves ways out."""

    async def serve(self, path: Path, hosts: Sequence[str], name: str, /) -> WayOut:
        """Serve one on the Unix socket `path`, to which any user may connect. Raises OSError."""
        ...
