"""Into how large parts a blob is divided."""

import pytest

from budflow.execution.blobs import BlobUnwritable
from budflow.storage.blobs.s3.writer import PART_BYTES, PART_BYTES_MAX, PARTS_MAX, part_bytes


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (PART_BYTES + 1, PART_BYTES),
        (PART_BYTES * PARTS_MAX, PART_BYTES),
        (PART_BYTES * PARTS_MAX + 1, PART_BYTES + 1),
        (PART_BYTES_MAX * PARTS_MAX, PART_BYTES_MAX),
    ],
)
def test_parts_are_as_large_as_ten_thousand_of_them_must_be(size: int, expected: int) -> None:
    assert part_bytes(size) == expected
    assert -(-size // expected) <= PARTS_MAX


def test_what_would_need_larger_parts_than_memory_is_meant_for_is_refused() -> None:
    with pytest.raises(BlobUnwritable, match="too large"):
        part_bytes(PART_BYTES_MAX * PARTS_MAX + 1)
