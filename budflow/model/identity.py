"""Identifiers and the clock's unit: sortable by creation, so that a list is in order and an index stays compact."""

from datetime import UTC, datetime

import uuid_utils


def new_id(kind: str) -> str:
    """An identifier such as `exe_0192f0c1…`: a kind and a UUIDv7 (RFC 9562) in hex, so that ids sort by creation."""
    return f"{kind}_{uuid_utils.uuid7().hex}"


def utc_now() -> datetime:
    """The current time, aware and in UTC."""
    return datetime.now(UTC)
