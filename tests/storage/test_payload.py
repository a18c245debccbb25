import os

import pytest

from budflow.storage.payload import PLAIN, PLAIN_BYTES_MAX, ZSTD, packer, unpack


def test_a_small_payload_stands_as_it_is() -> None:
    payload = b"a" * PLAIN_BYTES_MAX

    assert packer()(payload) == (PLAIN, payload)


def test_a_larger_payload_is_compressed() -> None:
    payload = b"a" * (PLAIN_BYTES_MAX + 1)

    encoding, stored = packer()(payload)

    assert encoding == ZSTD
    assert len(stored) < 100
    assert unpack(encoding, stored) == payload


def test_a_payload_that_would_grow_is_not_compressed() -> None:
    payload = os.urandom(PLAIN_BYTES_MAX * 2)

    assert packer()(payload) == (PLAIN, payload)
    assert unpack(PLAIN, payload) == payload


@pytest.mark.parametrize(("encoding", "stored"), [(ZSTD, b"not zstd"), (ZSTD, b""), (7, b"{}")])
def test_what_cannot_be_unpacked_is_empty(encoding: int, stored: bytes) -> None:
    assert unpack(encoding, stored) == b""
