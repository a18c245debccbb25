"""How the processes of an installation tell each other: by Redis where one is set, else by PostgreSQL, else not at all.

A process that owns an SQLite database is alone, and has nobody to tell.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, runtime_checkable

from budflow.scaling.installation import installation_of
from budflow.scaling.wakes_between import Channel, WakesBetween, open_between
from budflow.scaling.wakes_here import WakesHere
from budflow.services.ports import Store
from budflow.settings import Settings


@runtime_checkable
class SharedStore(Protocol):
    """A store that several processes may share, by a driver that can open one more connection."""

    def driver_arguments(self) -> dict[str, Any]:
        """What the driver takes for a connection of its own."""
        ...


@asynccontextmanager
async def open_wakes(settings: Settings, store: Store) -> AsyncIterator[WakesHere | WakesBetween]:
    """The wake-ups that the settings name. Whether the others can be told shows later. Raises RedisUrlRefused."""
    channel = await _channel(settings, store)
    if channel is None:
        yield WakesHere()
        return
    async with open_between(channel) as wakes:
        yield wakes


async def _channel(settings: Settings, store: Store) -> Channel | None:
    if settings.redis_url is not None:
        from budflow.scaling.wakes_redis import RedisChannel  # noqa: PLC0415 - Redis; few servers use it

        return RedisChannel(settings.redis_url, await installation_of(store))
    if isinstance(store, SharedStore):
        from budflow.scaling.wakes_postgres import PostgresChannel  # noqa: PLC0415 - the driver; a laptop never needs it

        return PostgresChannel(store.driver_arguments())
    return None
