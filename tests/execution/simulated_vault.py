"""The source of credentials of a simulated world: it refuses, fails, takes its time, and has others than before."""

import asyncio
from random import Random

from budflow.execution.ports import CredentialUser
from budflow.model.credential import CredentialRefused
from budflow.model.credential_kind import OpenCredential
from budflow.storage.errors import StorageUnavailable
from tests.execution.vault import Token

#: How often something happens to an ask; else it is answered at once.
ODDS = {"refused": 0.05, "not there": 0.1, "slow": 0.2, "changed": 0.3}
SECRET = "secret of the simulation"


class SimulatedVault:
    """Meets CredentialSource, for all servers at once. `seen` is what has happened so far."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._number = 0
        self.seen: set[str] = set()

    def forget(self, credential_id: str) -> None:
        """See CredentialSource."""

    async def open(self, user: CredentialUser, reference: str, kinds: tuple[str, ...]) -> OpenCredential:
        """See CredentialSource."""
        happening = self._random.choices([*ODDS, ""], [*ODDS.values(), 1 - sum(ODDS.values())])[0]
        self.seen.add(happening)
        if happening == "slow":
            await asyncio.sleep(self._random.choice([0.01, 0.3, 4]))
        elif happening == "refused":
            raise CredentialRefused
        elif happening == "not there":
            raise StorageUnavailable
        elif happening == "changed":
            self._number += 1
        values = Token(token=f"{SECRET} {self._number}")
        return OpenCredential(f"crd_{self._number}", reference, "token", values, ("*",))
