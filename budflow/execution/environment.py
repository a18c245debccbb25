"""The environment of the processes that run nodes for a server: its own, without what opens its store."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

#: What only the owner of the store needs: who has these reads every credential that there is.
KEPT_BACK = frozenset({"BUDFLOW_DATABASE_URL", "BUDFLOW_ENCRYPTION_KEYS"})


def environment_of_nodes() -> Mapping[str, str]:
    """For a process that is started with it."""
    return {name: value for name, value in os.environ.items() if name.upper() not in KEPT_BACK}


@contextmanager
def keeping_back() -> Iterator[None]:
    """For processes that a library starts, which inherit what this one has. Meanwhile nothing may read the settings."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.upper() in KEPT_BACK}
    try:
        yield
    finally:
        os.environ.update(kept)
