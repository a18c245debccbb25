"""Paths into data, such as `user.emails[0]` or `a["b.c"]`: reading at one, and a copy with another value there."""

import re
from collections.abc import Mapping

from budflow.expressions.budget import Budget, Fault
from budflow.expressions.suggest import shorten
from budflow.expressions.values import checked, key

PATH_CHARS_MAX = 1_000
STEPS_MAX = 50
INDEX_MAX = 10_000  # Up to which a list is filled with None so that a value can stand there.
STEP = re.compile(r"""\.?([^.\[\]"']+)|\[(-?\d{1,6})\]|\["([^"]*)"\]|\['([^']*)'\]""")

NOTHING = object()


def parse_path(path: object) -> list[str | int]:
    """The keys and indices of a path."""
    if type(path) is not str or not 0 < len(path) <= PATH_CHARS_MAX:
        raise Fault(f"a path is a text of 1 to {PATH_CHARS_MAX:,} characters", 'Such as "user.emails[0]".')
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = STEP.match(path, at)
        if found is None or len(steps) == STEPS_MAX or (at and found[1] is not None and path[at] != "."):
            raise Fault(
                f"{shorten(path, 40)!r} is not a path of at most {STEPS_MAX} steps", 'Such as "user.emails[0]".'
            )
        name = next((group for group in (found[1], found[3], found[4]) if group is not None), None)
        steps.append(int(found[2]) if name is None else name)
        at = found.end()
    return steps


def read_path(budget: Budget, value: object, path: object, default: object) -> object:
    """What stands at the path; `default` where there is nothing."""
    steps = parse_path(path)
    budget.spend(len(steps))
    for step in steps:
        value = _inside(value, step)
        if value is NOTHING:
            return default
    return checked(value)


def with_path(budget: Budget, value: object, steps: list[str | int], new: object) -> object:
    """A copy of the data with `new` at the path (NOTHING takes it out); what is missing on the way there is made."""
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    if isinstance(step, int) and isinstance(value, (list, tuple)):
        budget.elements(len(value))
        made = list(value)
        at = step if step >= 0 else step + len(made)
        if new is NOTHING and not 0 <= at < len(made):
            return made
        if (not 0 <= at <= INDEX_MAX and not at < len(made)) or at < 0:
            raise Fault(f"a list of {len(made)} has no [{step}]")
        made += [None] * (at + 1 - len(made))
        if new is NOTHING and not rest:
            del made[at]
        else:
            made[at] = with_path(budget, made[at], rest, new)
        return made
    if value is not None and not isinstance(value, Mapping):
        raise Fault(f"there is no place for {str(step)[:40]!r} at the path: what is there is no dict")
    inside: Mapping[object, object] = {} if value is None else value
    budget.elements(len(inside))
    if isinstance(step, int) and value is None and new is not NOTHING:
        return with_path(budget, [], steps, new)
    copied = dict(inside)
    if new is NOTHING:
        if step in copied and rest:
            copied[step] = with_path(budget, copied[step], rest, new)
        elif not rest:
            copied.pop(step, None)
        return copied
    copied[key(step)] = with_path(budget, copied.get(step), rest, new)
    return copied


def _inside(value: object, step: str | int) -> object:
    if isinstance(value, Mapping):
        return value.get(step, NOTHING) if step in value else NOTHING
    if isinstance(step, int) and isinstance(value, (list, tuple)):
        return value[step] if -len(value) <= step < len(value) else NOTHING
    return NOTHING
