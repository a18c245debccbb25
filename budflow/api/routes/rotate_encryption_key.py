"""POST /encryption-keys/rotate: wrap all credentials with a new encryption key."""

from budflow.api.route import Example, Route
from budflow.services.rotate_encryption_key import KeyRotationView, RotateEncryptionKey, rotate_encryption_key

ROUTE = Route(
    "POST",
    "/encryption-keys/rotate",
    rotate_encryption_key,
    RotateEncryptionKey,
    KeyRotationView,
    Example(
        answer={"key_id": "b7e23ec29af22b0b", "made": True, "rewrapped": 12, "left": [], "unused_keys": []},
    ),
)
