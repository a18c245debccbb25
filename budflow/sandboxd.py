"""The composition root of sandboxd, the only process that speaks to Docker: picks how code is isolated, and serves.

`python -m budflow.sandboxd` is the child of an embedded server (budflow/sandbox/keeper.py): it has its settings as the
first line of its standard input and ends when that is closed. `budflow sandbox serve` calls `serve`.
"""

import asyncio
import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import orjson
import uvloop
from pydantic import ValidationError

from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.egress.transport import checked_addresses, resolve_with_system
from budflow.errors import BudflowError
from budflow.log import configure, get_log
from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.daemon import Daemon, Isolator, serving
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings
from budflow.sandbox.egress.proxy import Egress
from budflow.sandbox.external_only import ExternalOnly
from budflow.sandbox.places import SandboxdRunning
from budflow.sandbox.process.runner import ProcessRunner
from budflow.sandbox.runners import Limits

PARENT_SECONDS = 1.0
PREDECESSOR_SECONDS = 15.0
LOOK_SECONDS = 0.1

Tell = Callable[[Mapping[str, Any]], None]

log = get_log(__name__)


def main() -> None:
    """Serve the server that started this process, until it goes."""
    settings_line = _first_line()
    try:
        settings = DaemonSettings.model_validate_json(settings_line)
    except ValidationError as error:
        _tell({"message": f"The settings of sandboxd are none: {error.error_count()} of them are wrong."})
        raise SystemExit(2) from error
    configure(settings.log_level)
    try:
        uvloop.run(serve(settings, _tell, with_input=True))
    except BudflowError as error:
        _tell({"message": error.message, "hint": error.hint})
        raise SystemExit(1) from error
    except OSError as error:  # A disk that is full or read-only, or a file of another user.
        _tell({"message": f"The sandbox daemon cannot serve in {settings.directory}: {error}."})
        raise SystemExit(1) from error


async def serve(settings: DaemonSettings, tell: Tell, *, with_input: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, `with_input` until standard input is closed too; a second signal ends it at once.

    `tell` hears once that it serves. Tasks under way have `drain_seconds`. Raises SandboxUnavailable where code cannot
    be isolated as the settings say, and what stands in the way of serving.
    """
    _limit_itself()
    over = asyncio.Event()
    with _told_to_stop(over, with_input=with_input):
        async with contextlib.AsyncExitStack() as stack:
            daemon = await after_its_predecessor(stack, settings, over)
            tell(_serving(daemon))
            await over.wait()
            log.info("sandbox.daemon_drains")
            over.clear()
            await _either(daemon.drain(), over.wait())


async def after_its_predecessor(
    stack: contextlib.AsyncExitStack, settings: DaemonSettings, over: asyncio.Event
) -> Daemon:
    """Serve. Where a server is started again or taken over at once, the sandboxd of the one before still ends its
    workers: that is waited for, a while. Raises SandboxdRunning, and what `serving` does.
    """
    until = time.monotonic() + PREDECESSOR_SECONDS
    while True:
        try:
            return await stack.enter_async_context(serving(settings, partial(isolate, settings)))
        except SandboxdRunning:
            if over.is_set() or time.monotonic() > until:
                raise
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LOOK_SECONDS)


async def isolate(settings: DaemonSettings, owner: str) -> Isolator:
    """What isolates code by these settings. Raises SandboxUnavailable, which says what each way lacks."""
    if settings.sandbox == "off":
        if settings.listen is None:
            raise SandboxUnavailable("The sandbox is off.", hint="Set `sandbox` to auto.")
        return Isolator(ExternalOnly())
    egress = Egress(partial(checked_addresses, AddressPolicy(parse_allow(settings.http_allow)), resolve_with_system))
    lacks = []
    if settings.sandbox in ("auto", "docker"):
        try:
            return await _docker(settings, owner, egress)
        except SandboxUnavailable as error:
            if settings.sandbox == "docker":
                raise
            lacks.append(error.message)
    runner = ProcessRunner(Limits(cpus=settings.cpus))
    if (lack := await runner.trouble()) is None:
        log.warning("sandbox.reduced_isolation", docker=lacks[0] if lacks else "not wanted")
        return Isolator(runner, egress)
    raise SandboxUnavailable(" ".join(["Code cannot be isolated on this machine.", *lacks, lack]))


async def _docker(settings: DaemonSettings, owner: str, egress: Egress) -> Isolator:
    # docker-py: it takes 0.2 s, and is not needed where code is isolated by processes.
    from budflow.sandbox.docker.build import Builder, BuildLimits, PackageIndex  # noqa: PLC0415 - see above
    from budflow.sandbox.docker.engine import Engine  # noqa: PLC0415 - see above
    from budflow.sandbox.docker.images import Images  # noqa: PLC0415 - see above
    from budflow.sandbox.docker.runner import DockerRunner  # noqa: PLC0415 - see above

    engine = await asyncio.to_thread(Engine, settings.docker_url)
    limits = Limits(cpus=settings.cpus)
    index = PackageIndex(settings.index_hosts, settings.index)
    builder = Builder(engine, owner, egress, index, BuildLimits(), settings.runtime)
    images = Images(engine, settings.directory / "images", builder, settings.image)
    try:
        runner = await DockerRunner.open(engine, owner, images, runtime=settings.runtime, limits=limits)
    except BaseException:
        engine.close()
        raise
    return Isolator(runner, egress)


def _serving(daemon: Daemon) -> dict[str, Any]:
    return {
        "serving": True,
        "socket": str(daemon.settings.directory / SOCKET_FILE),
        "isolation": daemon.broker.runner.isolation,
        "external_port": daemon.door.port or None,
    }


@contextlib.contextmanager
def _told_to_stop(over: asyncio.Event, *, with_input: bool) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 4_096):
            loop.remove_reader(sys.stdin.fileno())
            over.set()

    if not with_input:
        yield
        return
    loop.add_reader(sys.stdin.fileno(), read)
    watching = asyncio.create_task(_watch_parent(os.getppid(), over))
    try:
        yield
    finally:
        watching.cancel()


async def _watch_parent(parent: int, over: asyncio.Event) -> None:
    """Standard input stays open when another child of the server's has inherited it."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of a new parent
        await asyncio.sleep(PARENT_SECONDS)
    over.set()


def _limit_itself() -> None:
    """No core dump, in which code and keys would stand; and as many open files as it may have."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _either(*coroutines: Any) -> None:
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _first_line() -> bytes:
    """Unbuffered: what comes after it is for the loop."""
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) and byte != b"\n":
        line += byte
    return bytes(line)


def _tell(shape: Mapping[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(shape).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
