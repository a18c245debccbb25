"""The far side of a network: a namespace with two links to this one, of which one can be cut.

What listens on loopback here is reached from there by relays on this end of a link. A relay knows nothing of a cut, and
neither does who is connected through it: as between two machines, only silence tells.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from tests.servers import CannotStart

#: Private addresses that are nobody else's here: 10.OCTET.x.y, of which each link takes four.
OCTET = 213
CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Link:
    """A pair of interfaces with a bridge on this side: `here` and `there` are the addresses, `interface` is this end.

    The bridge has the address, so that what listens there is still reached from here when the link is cut.
    """

    interface: str
    here: str
    there: str

    def cut(self) -> None:
        """Carry nothing any more, in neither direction, and tell nobody."""
        _ip("link", "set", self.interface, "down")

    def heal(self) -> None:
        """Carry again."""
        _ip("link", "set", self.interface, "up")


@dataclass(frozen=True, slots=True)
class FarSide:
    """`inside` is to be cut, `outside` stays."""

    name: str
    inside: Link
    outside: Link

    def command(self, *command: str) -> Sequence[str]:
        """The same command there."""
        return (_program(), "netns", "exec", self.name, *command)


@contextmanager
def open_far_side() -> Iterator[FarSide]:
    """A namespace of its own, which is gone at the end. Raises CannotStart where that needs rights or programs."""
    if os.geteuid() != 0:
        raise CannotStart("A network namespace cannot be made: only root may.")
    tag = secrets.token_hex(2)
    name = f"budflow-{tag}"
    number = secrets.randbelow(256)
    with ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)  # Its links go with it.
        _ip("-netns", name, "link", "set", "lo", "up")
        inside, outside = (_link(stack, name, f"bf{tag}{end}", number, 4 * index) for index, end in enumerate("io"))
        yield FarSide(name, inside, outside)


@contextmanager
def relayed(address: str, port: int) -> Iterator[int]:
    """What listens on a port of loopback is reached by another one of `address` too: that port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="relay")
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(lambda reader, writer: _relay(reader, writer, port), address, 0)

    async def stop() -> None:
        server.close()
        relays = asyncio.all_tasks() - {asyncio.current_task()}
        for relay in relays:
            relay.cancel()
        await asyncio.gather(*relays, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, to_there = await asyncio.open_connection("127.0.0.1", port)
    try:
        ways = [asyncio.ensure_future(_copy(reader, to_there)), asyncio.ensure_future(_copy(there, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
    finally:
        to_there.close()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


def _link(stack: ExitStack, namespace: str, interface: str, number: int, first: int) -> Link:
    here, there = (f"10.{OCTET}.{number}.{first + host}" for host in (1, 2))
    peer, bridge = f"{interface}p", f"{interface}b"
    _ip("link", "add", bridge, "type", "bridge")
    stack.callback(_ip, "link", "delete", bridge)
    _ip("address", "add", f"{here}/30", "dev", bridge)
    _ip("link", "add", interface, "type", "veth", "peer", "name", peer, "netns", namespace)
    _ip("link", "set", bridge, "up")
    _ip("link", "set", interface, "master", bridge, "up")
    _ip("-netns", namespace, "address", "add", f"{there}/30", "dev", peer)
    _ip("-netns", namespace, "link", "set", peer, "up")
    return Link(interface, here, there)


def _program() -> str:
    program = shutil.which("ip")
    if program is None:
        raise CannotStart("A network namespace cannot be made: install `iproute2`, which has the program `ip`.")
    return program


def _ip(*arguments: str) -> None:
    done = subprocess.run([_program(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotStart(f"A network namespace cannot be made: ip {' '.join(arguments)}: {done.stderr.strip()}")
