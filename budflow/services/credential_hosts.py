"""Whether patterns of hosts let a credential go further than others do; see HOST_PATTERN of the model."""

from collections.abc import Iterable

from budflow.model.credential import DEFAULT_PORTS


def widens(before: Iterable[str], after: Iterable[str]) -> bool:
    """Whether `after` has a pattern that no single one of `before` covers whole."""
    old = [_parts(pattern) for pattern in before]
    return any(not any(_within(new, known) for known in old) for new in map(_parts, after))


def _parts(pattern: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; None: every port."""
    scheme, _, rest = pattern.rpartition("://")
    scheme = scheme or "https"
    bracketed, closing, port = rest.rpartition("]")
    host, port = (bracketed + closing, port.removeprefix(":")) if closing else rest.partition(":")[::2]
    if port:
        return scheme, host, int(port)
    return scheme, host, None if host == "*" else DEFAULT_PORTS[scheme]


def _within(new: tuple[str, str, int | None], known: tuple[str, str, int | None]) -> bool:
    if new[0] != known[0] or (known[2] is not None and new[2] != known[2]):
        return False
    host, wide = new[1], known[1]
    return host == wide or wide == "*" or (wide.startswith("*.") and host != "*" and host.endswith(wide[1:]))
