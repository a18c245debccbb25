"""Python's own settings in a process that runs executions: how often it looks for garbage."""

import gc

#: New containers before the youngest are looked at, and how often that happens before the older and the oldest are.
#: Most objects are items, which live long and form no cycles: going through them over and over cost a third of the
#: time.
GARBAGE_THRESHOLDS = (10_000, 20, 50)


def tune() -> None:
    """For the whole process, from now on."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def keep() -> None:
    """What is loaded now stays: it need not be looked at again, which shortens the pauses."""
    gc.collect()
    gc.freeze()
