"""What a group of writes changes beside rows and journals: waits, signals, rests and static data, as one net change.

Kept by execution, so that what ends takes its own along; what an adapter writes is in the order of the fields.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from budflow.execution.records import JournalWrite, OpenWait, Rest, Signal
from budflow.model.event import StoredEvent
from budflow.storage.rows import DUE, json_text, refuse_unstorable
from budflow.storage.writes import Known


@dataclass(slots=True)
class Attachments:
    """Keys of waits and signals stand below their execution's id; `signals` have their project, for the row.

    `cleared` are executions that ended, with everything that hangs on them; `due` are those that wait no longer,
    where they wait; `flagged` are to be cancelled. Values of `static` are JSON, or None to remove one.
    """

    cleared: set[str] = field(default_factory=set)
    closed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    opened: defaultdict[str, dict[str, OpenWait]] = field(default_factory=lambda: defaultdict(dict))
    consumed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    signals: defaultdict[str, dict[str, tuple[str, StoredEvent]]] = field(default_factory=lambda: defaultdict(dict))
    rested: dict[str, Rest] = field(default_factory=dict)
    flagged: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    static: defaultdict[str, dict[str, str | None]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, known: Known, write: JournalWrite, static: Mapping[str, str | None]) -> None:
        """All that the write says of attachments; `known` has its row and events already."""
        id_ = write.claim.execution_id
        for key in write.closed:
            self.opened[id_].pop(key, None)
            self.closed[id_].add(key)
        for wait in write.opened:
            self.opened[id_][wait.key] = wait
        for key in write.consumed:
            self.signals[id_].pop(key, None)
            known.signals.get(id_, set()).discard(key)
            self.consumed[id_].add(key)
        if static:
            self.static[id_].update(static)
        for signal in write.signals:
            self.send(known, signal)
        if write.rest is not None and not known.heads[id_].ended:
            self._rest(known, id_, write.rest)

    def send(self, known: Known, signal: Signal) -> None:
        """A signal for another execution; nobody is left to read it where that has ended."""
        target = known.heads.get(signal.execution_id)
        if target is None or target.ended:
            return
        self.signals[signal.execution_id][signal.key] = (target.project_id, signal.event)
        if target.status == "waiting":
            self.due.add(signal.execution_id)

    def flag(self, known: Known, id_: str) -> None:
        """To be cancelled by whoever holds it; one that waits is claimed for that."""
        head = known.heads[id_]
        known.heads[id_] = replace(head, cancelling=True)
        self.flagged.add(id_)
        if head.status == "waiting":
            self.due.add(id_)

    def end(self, known: Known, id_: str) -> None:
        """The execution has ended: nothing hangs on it any more."""
        if known.heads[id_].attached:
            self.cleared.add(id_)
        for pending in (self.closed, self.opened, self.consumed, self.signals):
            pending.pop(id_, None)
        self.flagged.discard(id_)
        self.due.discard(id_)

    def _rest(self, known: Known, id_: str, rest: Rest) -> None:
        head = known.heads[id_]
        wanted = known.signals.get(id_) or self.signals.get(id_) or (head.cancelling and not rest.stopping)
        if wanted and not rest.patient:
            rest = replace(rest, wake_at=DUE)
        self.rested[id_] = rest
        # The claim ends here: whoever claims it next finds a higher token.
        known.heads[id_] = replace(head, status="waiting", token=head.token + 1)


def has_attachments(write: JournalWrite) -> bool:
    """Whether the write says more than a row and events; most do not."""
    return bool(
        write.opened or write.closed or write.consumed or write.signals or write.static or write.rest is not None
    )


def static_texts(write: JournalWrite) -> dict[str, str | None]:
    """The write's values of static data as JSON. Raises TextRefused, also for what else of the write is no text."""
    for wait in write.opened:
        refuse_unstorable(key=wait.key, node=wait.node)
        json_text("ask", wait.ask)
    for signal in write.signals:
        refuse_unstorable(key=signal.key)
    for node in write.static:
        refuse_unstorable(node=node)
    return {node: None if value is None else json_text("static data", value) for node, value in write.static.items()}
