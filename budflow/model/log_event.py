"""The journal's event for what nodes log while they run; the events that end a node have what came last."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from budflow.model.log import LogLine
from budflow.model.path import Rounds


@dataclass(frozen=True, slots=True)
class NodeLogged:
    """A node logged some lines, and goes on; or rounds of a body ended in one go, in which it logged them."""

    TYPE: ClassVar[str] = "node.logged"
    VERSION: ClassVar[int] = 1
    at: datetime
    node: str
    log: tuple[LogLine, ...]
    rounds: Rounds = ()
