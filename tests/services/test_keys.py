"""Keys: who a bearer is, and what each may."""

import pytest

from budflow.model.principal import METRICS_READER, OWNER, KeyRefused, PermissionMissing
from budflow.services.keys import Keys


def test_each_key_has_its_principal() -> None:
    keys = Keys("bf_owner", "metrics-0123456789")

    assert keys.principal("Bearer bf_owner", "api").id == OWNER.id
    assert keys.principal("bearer metrics-0123456789", "api").id == METRICS_READER.id


def test_the_key_for_metrics_may_read_the_server_and_nothing_else() -> None:
    reader = Keys("bf_owner", "metrics-0123456789").principal("Bearer metrics-0123456789", "api")

    reader.require("server:read")
    for permission in OWNER.permissions - {"server:read"}:
        with pytest.raises(PermissionMissing):
            reader.require(permission)


def test_only_the_owner_is_the_owner() -> None:
    keys = Keys("bf_owner", "metrics-0123456789")

    assert keys.owner("Bearer bf_owner", "cli").id == OWNER.id
    with pytest.raises(KeyRefused):
        keys.owner("Bearer metrics-0123456789", "cli")


@pytest.mark.parametrize("said", [None, "", "Bearer", "Bearer ", "Bearer none", "Basic bf_owner", "bf_owner"])
def test_anything_else_is_refused(said: str | None) -> None:
    for keys in (Keys("bf_owner"), Keys("bf_owner", "metrics-0123456789")):
        with pytest.raises(KeyRefused):
            keys.principal(said, "api")
