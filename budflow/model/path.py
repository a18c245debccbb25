"""Node paths: a node's key with the round of each loop around it, such as `price[3][0]`."""

import re

#: The round of each loop around a node, from the outside in; () for one that no loop is around.
Rounds = tuple[int, ...]

_PATH = re.compile(r"([a-z][a-z0-9_]{0,63})((?:\[\d{1,9}\])*)")


def path_of(node: str, rounds: Rounds) -> str:
    """Key and rounds as one text."""
    return node if not rounds else node + "".join(f"[{number}]" for number in rounds)


def parse_path(path: str) -> tuple[str, Rounds]:
    """The reverse of `path_of`. Raises ValueError."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"{path[:100]!r} is no node path")
    return match[1], tuple(int(number) for number in re.findall(r"\d+", match[2]))
