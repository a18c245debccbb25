"""forget_old_uses: the audit of credentials is kept for a time; what is older goes, hour by hour."""

import asyncio
from datetime import timedelta

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.identity import utc_now
from budflow.services.credential_ports import CredentialStore

SWEEP_SECONDS = 3_600.0

log = get_log(__name__)


async def forget_old_uses(store: CredentialStore, kept_seconds: int, seconds: float = SWEEP_SECONDS) -> None:
    """Remove uses, and requests that expired, once they are so old, for ever, every so many seconds.

    Several servers may do so at once.
    """
    while True:
        try:
            await store.delete_old_uses(utc_now() - timedelta(seconds=kept_seconds))
        except BudflowError as error:
            log.warning("credential_uses.not_swept", code=error.code, message=error.message)
        await asyncio.sleep(seconds)
