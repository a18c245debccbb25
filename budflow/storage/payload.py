"""How an event's payload stands in its row: as it is, or compressed with zstd where that makes it smaller."""

from collections.abc import Callable

import zstandard

PLAIN, ZSTD = 0, 1
PLAIN_BYTES_MAX = 1024

Pack = Callable[[bytes], tuple[int, bytes]]

_LEVEL = 1  # The journal is hot: level 1 already finds the repetition of JSON, at several hundred MB/s.


def packer() -> Pack:
    """A function that gives the encoding and the bytes to store. It reuses one compressor: keep it to one thread."""
    compress = zstandard.ZstdCompressor(level=_LEVEL).compress

    def pack(payload: bytes) -> tuple[int, bytes]:
        if len(payload) <= PLAIN_BYTES_MAX:
            return PLAIN, payload
        packed = compress(payload)
        return (ZSTD, packed) if len(packed) < len(payload) else (PLAIN, payload)

    return pack


def unpack(encoding: int, stored: bytes) -> bytes:
    """The payload as it was given to `pack`; empty, which no event's is, where nobody can tell any more.

    So the codec of the journal can say of which event that is, and who reads a part of it gets the rest.
    """
    if encoding == PLAIN:
        return stored
    try:
        return zstandard.ZstdDecompressor().decompress(stored) if encoding == ZSTD else b""
    except (zstandard.ZstdError, MemoryError):  # A damaged header may announce any size.
        return b""
