"""Real processes that lead one after the other, and the ledger of what they did as leaders."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.processes import environment, eventually

LOOK_SECONDS = 0.005


class Act(NamedTuple):
    """One line of the ledger; `at` in seconds of the machine's clock."""

    at: float
    name: str
    token: int


@dataclass
class Candidate:
    """A process of tests.scaling.lead."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def tell(self, number: signal.Signals) -> float:
        """Send a signal; when that was."""
        at = time.monotonic()
        self.process.send_signal(number)
        return at

    def end(self, number: signal.Signals) -> float:
        """Send a signal that ends it, and see it end; when it was sent."""
        at = self.tell(number)
        self.process.wait(timeout=10)
        return at

    def count(self, event: str) -> int:
        """How often it has logged an event."""
        return self.log.read_text().count(event)

    def logged(self, event: str, count: int) -> None:
        """Return when it has logged an event so often."""
        eventually(lambda: self.count(event) >= count, f"{event} of {self.name}")


class Candidates:
    """Processes with the same settings, in a directory of their own."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory, self._settings = directory, settings
        self.ledger = directory / "ledger"
        self.ledger.touch()
        self._read, self.acts = 0, list[Act]()
        self.alive: dict[str, Candidate] = {}
        self.coming: list[Candidate] = []
        self._begun = 0

    def begin(self, count: int = 1) -> None:
        """Start some more, which `await_alive` counts once they try to lead."""
        self.coming += [self._begin() for _ in range(count)]

    def await_alive(self, count: int) -> None:
        """Return when so many are alive that try to lead."""
        while len(self.alive) < count:
            self._await(self.coming[0])

    def end(self, candidate: Candidate, number: signal.Signals) -> float:
        """End one; when it was told."""
        del self.alive[candidate.name]
        at = candidate.end(number)
        assert candidate.process.stdout is not None
        candidate.process.stdout.close()
        return at

    def look(self) -> list[Act]:
        """All that was done so far; asserts that it was done by one after the other."""
        with self.ledger.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            at, name, token = line.split()
            self.acts.append(Act(int(at) / 1e9, name, int(token)))
        ordered = sorted(self.acts[-10_000:])
        stale = [(one, other) for one, other in pairwise(ordered) if other.token < one.token]
        assert not stale, f"one acted with a token that was older than another's before it: {stale[:3]}"
        return self.acts

    def first_act(self, after: float, but: str = "", seconds: float = 10.0) -> Act:
        """The first act after that time by another than `but`, once there is one."""
        found: list[Act] = []

        def look() -> bool:
            found[:] = [act for act in self.look()[-10_000:] if act.at > after and act.name != but]
            return bool(found)

        deadline = time.monotonic() + seconds
        while not look():
            assert time.monotonic() < deadline, f"nobody leads: {self.logs()}"
            time.sleep(LOOK_SECONDS)
        return min(found)

    def leader(self) -> Candidate:
        """Who leads now."""
        name = self.first_act(time.monotonic()).name
        for candidate in [candidate for candidate in self.coming if candidate.name == name]:
            self._await(candidate)
        return self.alive[name]

    def logs(self) -> dict[str, str]:
        """What each wrote to stderr lately."""
        return {path.stem: path.read_text()[-2_000:] for path in self.directory.glob("*.log")}

    def _await(self, candidate: Candidate) -> None:
        self.coming.remove(candidate)
        self.alive[candidate.name] = candidate
        assert candidate.process.stdout is not None
        assert candidate.process.stdout.readline() == "up\n", candidate.log.read_text()

    def _begin(self) -> Candidate:
        self._begun += 1
        name = f"run_{self._begun}"
        log = self.directory / f"{name}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.scaling.lead", name, str(self.ledger)],
                env=environment(self.directory, **self._settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        return Candidate(name, process, log)


@contextmanager
def candidates(directory: Path, count: int = 2, **settings: str) -> Iterator[Candidates]:
    """So many of them; at the end all are gone."""
    directory.mkdir(parents=True, exist_ok=True)
    group = Candidates(directory, **settings)
    try:
        group.begin(count)
        group.await_alive(count)
        yield group
    finally:
        group.alive |= {candidate.name: candidate for candidate in group.coming}
        for candidate in [*group.alive.values()]:
            candidate.process.send_signal(signal.SIGCONT)
            group.end(candidate, signal.SIGKILL)
