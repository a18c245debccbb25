"""Names of time zones, as the IANA database has them."""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: ZoneInfo looks for a file and then for a module of this name: with dots in it, it may do anything.
_PATTERN = r"[A-Za-z0-9_+/-]{1,64}"


def is_time_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    if not re.fullmatch(_PATTERN, name):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
