"""Wake-ups over Redis: publish and subscribe, on a channel that belongs to one installation."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from budflow.scaling.redis_client import connect

SUBSCRIBE_SECONDS = 5.0


class RedisChannel:
    """Meets budflow.scaling.wakes_between.Channel.

    `installation` is what all of its processes share and no other has: what is published is heard in every database of
    a Redis server, also by strangers who use it for the same.
    """

    name = "redis"

    def __init__(self, url: SecretStr, installation: str) -> None:
        """Raises RedisUrlRefused."""
        self._redis = connect(url)
        self._channel = f"budflow:{installation}:wakes"

    @asynccontextmanager
    async def listening(self, heard: Callable[[str], None]) -> AsyncIterator[Awaitable[None]]:
        """See Channel."""
        pubsub: Any = self._redis.pubsub()  # Its end is not typed.
        try:
            await pubsub.subscribe(self._channel)
            if await pubsub.get_message(timeout=SUBSCRIBE_SECONDS) is None:  # From its answer on it hears all.
                raise TimeoutError
            reading = asyncio.create_task(_read(pubsub, heard))
            try:
                yield reading
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        finally:
            await pubsub.aclose()

    async def send(self, texts: Sequence[str]) -> None:
        """See Channel."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for text in texts:
                pipeline.publish(self._channel, text)
            await pipeline.execute()

    async def close(self) -> None:
        """See Channel."""
        await self._redis.aclose()


async def _read(pubsub: Any, heard: Callable[[str], None]) -> None:
    async for message in pubsub.listen():
        if message["type"] == "message":
            heard(message["data"])
