"""A hand-over without encryption: it remembers what was sealed for which key and purpose, and mixes nothing up."""

from budflow.errors import BudflowError
from budflow.execution.ports import CredentialReceiver
from budflow.model.credential_kind import OpenCredential


class WrongBox(BudflowError):
    """This was sealed for somebody else."""


class FakeHandOver:
    """Meets HandOver within one process. `sealed` counts what was sealed."""

    def __init__(self) -> None:
        self.boxes: dict[bytes, tuple[OpenCredential, bytes, bytes]] = {}
        self._receivers = 0

    @property
    def sealed(self) -> int:
        return len(self.boxes)

    def receiver(self, info: bytes) -> CredentialReceiver:
        self._receivers += 1
        return _Receiver(self, b"key %d" % self._receivers, info)

    def seal(self, credential: OpenCredential, public_key: bytes, info: bytes) -> bytes:
        box = b"box %d" % len(self.boxes)
        self.boxes[box] = (credential, public_key, info)
        return box


class _Receiver:
    def __init__(self, hand_over: FakeHandOver, public_key: bytes, info: bytes) -> None:
        self._hand_over, self._public_key, self._info = hand_over, public_key, info

    @property
    def public_key(self) -> bytes:
        return self._public_key

    def open(self, sealed: bytes) -> OpenCredential:
        credential, public_key, info = self._hand_over.boxes[sealed]
        if (public_key, info) != (self._public_key, self._info):
            raise WrongBox
        return credential
