"""Which lease decides who leads: Redis where one is set, else the database; the owner of an SQLite file just leads.

Only the settings say which, so all processes of an installation use the same one.
"""

from budflow.execution.wakes import Wakes
from budflow.scaling.installation import installation_of
from budflow.scaling.leader import FOR_LIFE_SECONDS, Leader
from budflow.scaling.owner_lease import OwnerLease
from budflow.scaling.redis_lease import RedisLease
from budflow.scaling.store_lease import StoreLease
from budflow.services.ports import Store
from budflow.settings import Settings


async def open_leader(settings: Settings, store: Store, wakes: Wakes, holder: str) -> Leader:
    """The part of this process in it, which is still to be started. Raises RedisUrlRefused."""
    if settings.database_url is None:
        return Leader(OwnerLease(), wakes, holder=holder, seconds=FOR_LIFE_SECONDS)
    if settings.redis_url is None:
        lease: StoreLease | RedisLease = StoreLease(store)
    else:
        lease = RedisLease(settings.redis_url, await installation_of(store))
    return Leader(lease, wakes, holder=holder, seconds=settings.leader_seconds)
