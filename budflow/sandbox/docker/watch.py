"""Notices at once that a container ended, of all that one runner started: by the engine's events, in one thread."""

import asyncio
import threading
from collections.abc import Callable

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.docker.engine import Engine, Events

#: How often, beside the events, it is looked whether a container is still there: events may be missed.
LOOK_SECONDS = 5.0
RECONNECT_SECONDS = 1.0

#: Called in the event loop with the id of a container, and `die` or `oom`.
OnEvent = Callable[[str, str], None]


class Watch:
    """Follows the events until it is closed; an engine that went away is asked again."""

    def __init__(self, engine: Engine, label: str, value: str, on_event: OnEvent) -> None:
        """Must be made in the event loop that `on_event` is to be called in."""
        self._engine = engine
        self._label = (label, value)
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._closed = threading.Event()
        self._events: Events | None = None
        self._thread = threading.Thread(target=self._follow, name="docker-events", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._events is not None:
            self._events.close()
        await asyncio.to_thread(self._thread.join, RECONNECT_SECONDS + 1)

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._events = self._engine.events(*self._label)
                if self._closed.is_set():
                    self._events.close()
                for container_id, what in self._events:
                    self._tell(container_id, what)
            except SandboxUnavailable:
                pass  # The runner's own look-out notices containers that went with the engine.
            self._closed.wait(RECONNECT_SECONDS)

    def _tell(self, container_id: str, what: str) -> None:
        try:
            self._loop.call_soon_threadsafe(self._on_event, container_id, what)
        except RuntimeError:  # The loop is closed, and nobody waits any more.
            self._closed.set()
