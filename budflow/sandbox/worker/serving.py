"""The worker's main process: one loop between the broker, the nursery and the process of the task at work."""

import os
import platform
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from budflow import __version__
from budflow.sandbox.worker import nursery, packets
from budflow.sandbox.worker.limits import (
    CLEANING_SECONDS_MAX,
    ENDING_SECONDS_MAX,
    HEARTBEATS_MISSED_MAX,
    PROTOCOL_VERSION,
    UNSENT_BYTES_MAX,
)
from budflow.sandbox.worker.link import BrokerGone, Link
from budflow.sandbox.worker.processes import kill_descendants, oom_kills
from budflow.sandbox.worker.task_run import TaskRun

Message = dict[str, Any]


def serve(broker: str, nursery_pid: int, nursery_sock: socket.socket, ticket: str) -> int:
    """Serve the broker at this path to the end; the status is 0 when it drained or the broker went."""
    try:
        link = Link(broker)
    except BrokerGone as gone:
        return _told(f"there is no broker: {gone}", 1)
    else:
        try:
            Worker(link, nursery_pid, nursery_sock, ticket).serve()
        except BrokerGone as gone:
            return _told(str(gone), 0)
        except NurseryLost:
            return _told("the process that runs code is gone", 1)
        return 0
    finally:
        _end_everything(nursery_pid)


class NurseryLost(Exception):
    """The process that starts and ends those of tasks is gone or does not answer: the code may have killed it."""


class Worker:
    """Takes one task at a time. It ends when the broker goes, when it has drained, or when the nursery is lost."""

    def __init__(self, link: Link, nursery_pid: int, nursery_sock: socket.socket, ticket: str) -> None:
        self._link = link
        self._nursery_pid = nursery_pid
        self._nursery = nursery_sock
        self._ticket = ticket
        self._selector = selectors.DefaultSelector()
        self._run: TaskRun | None = None
        self._accepted: str | None = None
        self._offered: str | None = None
        self._cleaning_until: float | None = None
        self._ending_until: float | None = None
        self._draining = False
        self._heartbeat_seconds: float | None = None  # Not before the broker said welcome.
        self._heard = self._told = time.monotonic()
        self._oom_kills = oom_kills()

    def serve(self) -> None:
        """Return when it has drained. Raises BrokerGone, NurseryLost."""
        self._nursery.setblocking(False)
        self._selector.register(self._link, selectors.EVENT_READ)
        self._selector.register(self._nursery, selectors.EVENT_READ)
        version = platform.python_version()
        hello = {"type": "hello", "protocol": PROTOCOL_VERSION, "ticket": self._ticket, "language": "python"}
        self._link.send({**hello, "version": version, "budflow": __version__})
        self._ticket = ""
        try:
            while not (self._draining and self._run is None and self._accepted is None and not self._cleaning_until):
                self._link.flush()
                self._turn()
        except NurseryLost:
            if self._run is not None:
                self._run.fail("code.failed", "The code killed or stopped the sandbox's own processes")
            self._say_draining()
            raise
        finally:
            self._link.close()

    def _turn(self) -> None:
        self._watch()
        for key, events in self._selector.select(self._seconds_to_wait()):
            if key.fileobj is self._link:
                if events & selectors.EVENT_READ:
                    for message, text in self._link.receive():
                        self._obey(message, text)
            elif key.fileobj is self._nursery:
                self._hear_nursery()
            elif self._run is not None and key.fileobj is self._run.sock:
                if events & selectors.EVENT_WRITE:
                    self._run.write()
                if events & selectors.EVENT_READ:
                    self._run.read()
        self._look_at_run()
        self._look_at_clock()

    # --- the broker ------------------------------------------------------------------------------------------------

    def _obey(self, message: Message, text: bytes) -> None:
        self._heard = time.monotonic()
        match message.get("type"):
            case "welcome":
                self._heartbeat_seconds = float(message["heartbeat_seconds"])
            case "offer":
                self._consider(message["task_id"])
            case "task":
                self._start(message, text)
            case "data":
                if self._run is not None and self._run.id == message["task_id"]:
                    self._run.give(text)
            case "cancel":
                self._cancel(message)
            case "drain":
                self._say_draining()
            case "heartbeat":
                pass
            case other:
                raise BrokerGone(f"the broker sent a message of unknown type {other!r}")

    def _consider(self, task_id: str) -> None:
        if self._draining or self._run is not None or self._accepted is not None or self._offered is not None:
            reason = "draining" if self._draining else "at work"
            self._link.send({"type": "decline", "task_id": task_id, "reason": reason})
        elif self._cleaning_until is not None:
            self._offered = task_id  # Accepted as soon as nothing is left of the task before.
        else:
            self._accept(task_id)

    def _accept(self, task_id: str) -> None:
        self._accepted = task_id
        self._link.send({"type": "accept", "task_id": task_id})

    def _start(self, task: Message, text: bytes) -> None:
        if task["task_id"] != self._accepted:
            raise BrokerGone("the broker sent a task that was not accepted")
        self._accepted = None
        ours, its = packets.pair()
        order = nursery.FORK + b'{"memory_mb":%d}' % int(task["memory_mb"])
        try:
            socket.send_fds(self._nursery, [order], [its.fileno()])
        except OSError as error:
            raise NurseryLost from error
        its.close()
        self._run = TaskRun(task, text, ours, self._link.send_text)
        self._selector.register(ours, selectors.EVENT_READ)

    def _cancel(self, message: Message) -> None:
        task_id = message["task_id"]
        if self._run is not None and self._run.id == task_id:
            self._run.fail("code.failed", f"Cancelled: {message['reason']}")
        elif task_id == self._accepted:
            self._accepted = None
            error = {"code": "code.failed", "message": f"Cancelled: {message['reason']}"}
            self._link.send({"type": "error", "task_id": task_id, "error": error})
        elif task_id == self._offered:
            self._offered = None
            self._link.send({"type": "decline", "task_id": task_id, "reason": "cancelled"})

    def _say_draining(self) -> None:
        if not self._draining:
            self._draining = True
            if self._offered is not None:
                self._link.send({"type": "decline", "task_id": self._offered, "reason": "draining"})
                self._offered = None
            self._link.send({"type": "draining"})

    # --- the task's process ----------------------------------------------------------------------------------------

    def _hear_nursery(self) -> None:
        try:
            answer = self._nursery.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            raise NurseryLost from error
        if not answer:
            raise NurseryLost
        if answer[:1] == nursery.CLEANED:
            self._cleaning_until = None
            if self._offered is not None:
                offered, self._offered = self._offered, None
                self._accept(offered)
        elif self._run is not None and self._cleaning_until is None:
            status = int(answer[1:])
            if status == nursery.NOT_STARTED:
                self._run.fail("code.too_many_processes", "No process could be started for the code")
            else:
                self._run.ended = status
                self._run.read()

    def _look_at_run(self) -> None:
        """See whether the task at work has come to its end, by whatever; then nothing of it may stay."""
        run = self._run
        if run is None:
            return
        now = time.monotonic()
        if not run.done and now >= run.deadline:
            run.fail("code.timed_out", f"The code took longer than {run.timeout_seconds:g} seconds")
        elif not run.done and run.closed:
            if self._ending_until is None:
                self._ending_until = now + ENDING_SECONDS_MAX  # Its status tells more, and comes in a moment.
            if run.ended is not None or now >= self._ending_until:
                run.conclude(self._oom_killed())
        if run.done:
            with suppress(KeyError):  # It is watched only while there is something to wait for.
                self._selector.unregister(run.sock)
            run.sock.close()
            self._run = self._ending_until = None
            self._clean()

    def _clean(self) -> None:
        try:
            self._nursery.send(nursery.CLEAN)
        except OSError as error:
            raise NurseryLost from error
        self._cleaning_until = time.monotonic() + CLEANING_SECONDS_MAX

    def _oom_killed(self) -> bool | None:
        now = oom_kills()
        if now is None or self._oom_kills is None:
            return None
        before, self._oom_kills = self._oom_kills, now
        return now > before

    # --- time ------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Wait for what can be worked on: nothing more is read of the code while the broker has enough to read."""
        sending = selectors.EVENT_WRITE if self._link.unsent_bytes else 0
        self._selector.modify(self._link, selectors.EVENT_READ | sending)
        run = self._run
        if run is not None:
            events = selectors.EVENT_WRITE if run.wants_to_write else 0
            if not run.closed and self._link.unsent_bytes < UNSENT_BYTES_MAX:
                events |= selectors.EVENT_READ
            known = run.sock in self._selector.get_map()
            if events and known:
                self._selector.modify(run.sock, events)
            elif events:
                self._selector.register(run.sock, events)
            elif known:
                self._selector.unregister(run.sock)

    def _seconds_to_wait(self) -> float:
        moments = [self._cleaning_until, self._ending_until, self._run.deadline if self._run else None]
        if self._heartbeat_seconds is not None:
            moments += [self._told + self._heartbeat_seconds]
        return max(0.0, min([5.0, *(moment - time.monotonic() for moment in moments if moment is not None)]))

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if self._cleaning_until is not None and now >= self._cleaning_until:
            raise NurseryLost
        if self._heartbeat_seconds is not None:
            if now >= self._told + self._heartbeat_seconds:
                self._told = now
                self._link.send({"type": "heartbeat"})
            if now >= self._heard + HEARTBEATS_MISSED_MAX * self._heartbeat_seconds:
                raise BrokerGone("nothing was heard of the broker")
        self._reap()

    def _reap(self) -> None:
        """As PID 1 it has children that it did not make."""
        with suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                if pid == self._nursery_pid:
                    raise NurseryLost


def _end_everything(nursery_pid: int) -> None:
    """Leave no process behind: those of the last task too, which the nursery ends when it still can."""
    with suppress(ProcessLookupError, ChildProcessError):
        if os.waitpid(nursery_pid, os.WNOHANG)[0] == 0:
            os.kill(nursery_pid, signal.SIGKILL)
    kill_descendants(os.getpid())


def _told(text: str, status: int) -> int:
    sys.stderr.write(f"budflow worker: {text}\n")
    return status
