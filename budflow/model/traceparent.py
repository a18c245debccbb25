"""The trace that an execution belongs to, as W3C Trace Context (https://www.w3.org/TR/trace-context/) writes it."""

import hashlib
import re

_SHAPE = re.compile(r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_SAMPLED = 1


def traceparent_of(execution_id: str, given: str | None) -> str:
    """What an execution hands on: the trace that `given` names, with a span of its own.

    Where nothing is given, or what is malformed, a trace of its own begins. It depends on the id alone, so that a
    repetition hands on the same.
    """
    digest = hashlib.sha256(execution_id.encode()).hexdigest()
    found = _read(given)
    trace, flags = (digest[16:48], _SAMPLED) if found is None else found
    return f"00-{trace}-{digest[:16]}-{flags:02x}"


def is_traceparent(text: str) -> bool:
    """Whether this is a value of the header `traceparent` that names a trace."""
    return _read(text) is not None


def _read(text: str | None) -> tuple[str, int] | None:
    """Trace id, and whether the sender recorded it; of later versions only what version 00 has is read (2.2, 4.3)."""
    found = _SHAPE.match(text or "")
    if text is None or found is None or found["version"] == "ff":
        return None
    rest = text[found.end() :]
    if rest and (found["version"] == "00" or not rest.startswith("-")):
        return None
    if not found["trace"].strip("0") or not found["span"].strip("0"):
        return None
    return found["trace"], int(found["flags"], 16) & _SAMPLED
