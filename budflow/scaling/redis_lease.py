"""The lease on leading where it is kept in Redis: a key that runs out by itself, and the highest token beside it."""

from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from budflow.scaling import redis_client
from budflow.services.leader_ports import LeaderRow

# Scripts run alone and whole. Both keys are of one slot of a cluster; a lease is `TOKEN HOLDER`.

# The token is the next one, but never less than Redis's time in microseconds: so it grows even where Redis lost the
# last one, unless its clock went back as well. Lua counts exactly to 2^53, which that time reaches in the year 2255.
_ACQUIRE = """
local lease = redis.call('GET', KEYS[1])
if lease and string.sub(lease, string.find(lease, ' ') + 1) ~= ARGV[1] then return false end
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token
"""
_RENEW = """
local lease = redis.call('GET', KEYS[1])
if not lease or string.sub(lease, 1, string.find(lease, ' ') - 1) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
local lease = redis.call('GET', KEYS[1])
if lease and string.sub(lease, string.find(lease, ' ') + 1) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
_CURRENT = """
local lease = redis.call('GET', KEYS[1])
if not lease then return false end
local time = redis.call('TIME')
return {lease, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + redis.call('PTTL', KEYS[1]))}
"""


class RedisLease:
    """Meets LeaderLease. `installation` keeps those apart that share a Redis."""

    def __init__(self, url: SecretStr, installation: str) -> None:
        """Connects when first asked. Raises RedisUrlRefused."""
        self._redis = redis_client.connect(url)
        lease = f"budflow:{{{installation}}}:leader"
        self._keys = (lease, f"{lease}:token")

    async def acquire(self, holder: str, *, seconds: float) -> int | None:
        """See LeaderLease."""
        token = await self._run(_ACQUIRE, holder, _millis(seconds))
        return None if token is None else int(token)

    async def renew(self, token: int, *, seconds: float) -> bool:
        """See LeaderLease."""
        renewed: int = await self._run(_RENEW, str(token), _millis(seconds))
        return renewed == 1

    async def release(self, holder: str) -> None:
        """See LeaderLease."""
        await self._run(_RELEASE, holder)

    async def current(self) -> LeaderRow | None:
        """See LeaderLease."""
        found = await self._run(_CURRENT)
        if found is None:
            return None
        token, _, holder = found[0].partition(" ")
        return LeaderRow(holder, int(token), datetime.fromtimestamp(int(found[1]) / 1000, UTC))

    async def close(self) -> None:
        """See LeaderLease."""
        await self._redis.aclose()

    async def _run(self, script: str, *arguments: str) -> Any:
        try:
            return await self._redis.eval(script, len(self._keys), *self._keys, *arguments)
        except redis_client.failures() as failure:
            raise redis_client.error_of(failure) from failure


def _millis(seconds: float) -> str:
    return str(int(seconds * 1000))
