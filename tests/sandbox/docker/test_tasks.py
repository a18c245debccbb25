"""Authors' code all the way with a real engine: client, daemon, broker, container, worker, and back."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from budflow.egress.policy import AddressPolicy, IpAddress, parse_allow
from budflow.egress.transport import checked_addresses
from budflow.model.item import Json
from budflow.model.sandbox import (
    CodeFailed,
    CodeOutOfMemory,
    CodeTask,
    CodeTimedOut,
    CodeTooManyProcesses,
    RequirementsFailed,
    SandboxWorkerLost,
)
from budflow.sandbox.docker.build import Builder, BuildLimits, PackageIndex
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.hardening import OWNER_LABEL
from budflow.sandbox.docker.images import Images
from budflow.sandbox.docker.runner import DockerRunner
from budflow.sandbox.egress.proxy import Egress
from tests.docker_engine import DockerServer
from tests.egress.loopback import serving
from tests.sandbox.conftest import OpenSandboxd, Sandboxd
from tests.sandbox.docker.package_index import HOST, serving_packages
from tests.sandbox.tasks import Lines, task, values
from tests.until import until

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

OWNER = "tests-of-tasks"
DEADLINE_SECONDS = 30
#: Far above what it takes on an idle machine (0.1 s), and less than the heartbeats would take to notice.
SOON_SECONDS = 3


@pytest.fixture
async def sandboxd(
    docker_server: DockerServer, base_image: str, tmp_path: Path, open_sandboxd: OpenSandboxd
) -> AsyncIterator[Sandboxd]:
    """One with a package index and a way out, both to loopback only."""
    with serving_packages() as packages:
        packages.add_wheel("greeting", "2.0", {"greeting.py": "def hello(): return 'hello'\n"})

        async def resolve(host: str, port: int) -> Sequence[IpAddress]:
            return [IPv4Address("127.0.0.1")]

        policy = AddressPolicy(parse_allow(("api.test", f"{HOST}:{packages.port}")))
        egress = Egress(partial(checked_addresses, policy, resolve))
        engine = Engine(docker_server.url)
        index = PackageIndex((f"http://{HOST}:{packages.port}",), packages.url)
        builder = Builder(engine, OWNER, egress, index, BuildLimits(), "runc")
        runner = await DockerRunner.open(engine, OWNER, Images(engine, tmp_path / "images", builder, base_image))
        yield await open_sandboxd(runner, egress=egress)


async def ran(sandboxd: Sandboxd, asked: CodeTask, project: str = "p1", log: Lines | None = None) -> list[Json]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await values(sandboxd.client.of(project), asked, log)


async def works(sandboxd: Sandboxd, project: str = "p1") -> None:
    assert await ran(sandboxd, task("return [{'n': item['n'] + 1} for item in items]"), project) == [{"n": 2}]


async def test_code_runs_in_a_container_and_its_output_is_logged(sandboxd: Sandboxd) -> None:
    log = Lines()

    given = await ran(sandboxd, task("import os\nprint('here')\nreturn {'host': os.uname().nodename}"), log=log)

    assert given == [{"host": "sandbox"}]
    assert "here" in [message for _, message, _, _ in log.lines]


async def test_containers_are_of_one_project_and_used_again_in_it(sandboxd: Sandboxd, engine: Engine) -> None:
    for project in ("p1", "p1", "p2", "p1"):
        await works(sandboxd, project)

    assert len(engine.containers_labelled(OWNER_LABEL, OWNER)) == 2


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("while True: pass", CodeTimedOut),
        ("import time\ntime.sleep(1000)", CodeTimedOut),
        ("import signal, time\n[signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]\n"
         "while True: time.sleep(1)", CodeTimedOut),
        ("import os\nwhile os.fork() == 0: pass\nwhile True: pass", CodeTimedOut),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", CodeOutOfMemory),
        ("import os\nwhile True:\n  os.fork() or os.setsid() or __import__('time').sleep(100)", CodeTooManyProcesses),
        ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
         CodeTooManyProcesses),
    ],
    ids=["a loop", "a sleep", "signals ignored", "forks", "memory", "a fork bomb", "a thread bomb"],
)  # fmt: skip
async def test_code_that_takes_too_much_is_told_so_and_the_next_task_works(
    sandboxd: Sandboxd, code: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await ran(sandboxd, task(code, timeout_seconds=1.5, memory_mb=128))

    await works(sandboxd)


async def test_a_container_that_is_killed_in_its_task_is_noticed_at_once(sandboxd: Sandboxd, engine: Engine) -> None:
    async def busy() -> bool:
        return any(worker["state"] == "busy" for worker in (await sandboxd.daemon.describe())["workers"])

    running = asyncio.create_task(ran(sandboxd, task("import time\ntime.sleep(1000)")))
    await until(busy)
    [container] = engine.containers_labelled(OWNER_LABEL, OWNER)

    killed = time.monotonic()
    await asyncio.to_thread(engine.remove, container)
    with pytest.raises(SandboxWorkerLost):
        await running

    assert time.monotonic() - killed < SOON_SECONDS
    await works(sandboxd)


async def test_nothing_of_the_last_task_is_left_for_the_next(sandboxd: Sandboxd, engine: Engine) -> None:
    leave = """
import os, time
open('/tmp/left', 'w').write('x'); open('/dev/shm/left', 'w').write('x')
import builtins; builtins.left = 1
if os.fork() == 0:
    os.setsid(); time.sleep(1000)
return {}
"""
    look = """
import os, builtins
processes = [p for p in os.listdir('/proc') if p.isdigit()]
return {'files': os.listdir('/tmp') + os.listdir('/dev/shm'), 'module': hasattr(builtins, 'left'), 'n': len(processes)}
"""
    before = await ran(sandboxd, task(look))
    await ran(sandboxd, task(leave))
    after = await ran(sandboxd, task(look))

    assert after == before
    assert after[0]["files"] == []
    assert len(engine.containers_labelled(OWNER_LABEL, OWNER)) == 1, "It was the same container."


async def test_code_does_not_find_the_workers_ticket(sandboxd: Sandboxd) -> None:
    code = """
import os, re
seen = [dict(os.environ)]
for pid in [p for p in os.listdir('/proc') if p.isdigit()]:
    for name in ('environ', 'cmdline'):
        try: seen.append(open(f'/proc/{pid}/{name}', 'rb').read().decode('latin-1'))
        except OSError: pass
tickets = re.findall(r"TICKET[^A-Za-z0-9]+([A-Za-z0-9._:-]+)", repr(seen))
return {'tickets': [t for t in tickets if set(t) != {'x'}], 'socket': os.listdir('/run/budflow')}
"""
    assert await ran(sandboxd, task(code)) == [{"tickets": [], "socket": []}]


async def test_code_has_its_requirements(sandboxd: Sandboxd) -> None:
    log = Lines()
    asked = task("import greeting\nreturn {'said': greeting.hello()}", requirements=("greeting>=2",))

    assert await ran(sandboxd, asked, log=log) == [{"said": "hello"}]
    with pytest.raises(CodeFailed, match="No module named 'greeting'"):
        await ran(sandboxd, task("import greeting"))


@pytest.mark.parametrize("requirement", ["nothinglikeit", "-e .", "x @ file:///etc", "--index=http://api.test"])
async def test_requirements_that_cannot_be_installed_are_told(sandboxd: Sandboxd, requirement: str) -> None:
    with pytest.raises(RequirementsFailed):
        await ran(sandboxd, task("return {}", requirements=(requirement,)))


FETCH = """
import urllib.error, urllib.request
def fetch(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(error).__name__
"""


async def test_code_reaches_the_hosts_that_its_node_names_and_no_others(sandboxd: Sandboxd) -> None:
    async with serving() as server:
        named = f"http://api.test:{server.port}"
        urls = [f"{named}/x", "http://other.test/", "http://169.254.169.254/"]
        code = f"{FETCH}return {{'got': [fetch(url) for url in {urls!r}]}}"

        given = await ran(sandboxd, task(code, network=(named,)))
        without = await ran(sandboxd, task(code))

    assert given == [{"got": [404, 403, 403]}]
    assert without == [{"got": ["URLError"] * 3}]
    assert [asked.target for asked in server.asked] == ["/x"]


async def test_the_next_task_in_the_same_container_does_not_reach_the_last_ones_hosts(sandboxd: Sandboxd) -> None:
    async with serving() as server:
        named = f"http://api.test:{server.port}"
        code = f"{FETCH}return {{'got': fetch({named!r} + '/x')}}"

        assert await ran(sandboxd, task(code, network=(named,))) == [{"got": 404}]
        assert await ran(sandboxd, task(code, network=("other.test",))) == [{"got": 403}]
