"""Connections to Redis: imported when first needed, with errors that name neither an address nor a password."""

from typing import TYPE_CHECKING

from pydantic import SecretStr

from budflow.errors import BudflowError

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: For how long a connection may take to come about, and an answer to come.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0


class RedisUrlRefused(BudflowError):
    """The Redis URL is not one."""

    code = "redis.url_refused"
    http_status = 500
    hint = "Write it as redis://user:password@host:port/0, with rediss:// for TLS or unix:// for a socket."


class RedisUnavailable(BudflowError):
    """Redis cannot be used now."""

    code = "redis.unavailable"
    http_status = 503
    hint = "Look whether the Redis server runs, and whether BUDFLOW_REDIS_URL has the right password."


def connect(url: SecretStr) -> "Redis":
    """A client that connects when first used, never tries anything twice, and gives text. Raises RedisUrlRefused."""
    from redis.asyncio import Redis  # noqa: PLC0415 - takes 0.1 s, and few servers use it
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - see the line above
    from redis.backoff import NoBackoff  # noqa: PLC0415 - see the line above

    try:
        return Redis.from_url(
            url.get_secret_value(),
            decode_responses=True,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),  # Whoever asks knows better whether the answer still matters.
        )
    except ValueError:
        pass  # Its message and its context may quote the URL.
    raise RedisUrlRefused


def failures() -> tuple[type[BaseException], ...]:
    """All that connecting and asking raise where Redis is away, refuses or does not answer in time."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - see `connect`

    return (RedisError, OSError)


def error_of(failure: BaseException) -> RedisUnavailable:
    """The error to raise from `failure`."""
    reason = type(failure).__name__
    return RedisUnavailable(f"Redis cannot be used now: {reason}.", reason=reason)
