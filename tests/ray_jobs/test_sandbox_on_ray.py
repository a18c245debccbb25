"""An author's code on a real Ray, in containers of a real Docker: what Ray shows, reuses and collects of it, and what
of Ray the code sees.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import ray
from ray.util import list_named_actors
from ray.util.state import list_actors, list_tasks
from ray.util.state.common import TaskState

from budflow.egress.policy import AddressPolicy, IpAddress, parse_allow
from budflow.egress.transport import checked_addresses
from budflow.model.sandbox import CodeFailed, RequirementsFailed, SandboxBusy, SandboxCapability, SandboxUnavailable
from budflow.sandbox.access import REQUESTER_SECONDS, Tickets, read_key
from budflow.sandbox.daemon import Daemon
from budflow.sandbox.docker.base_image import build_base
from budflow.sandbox.docker.build import Builder, BuildLimits, PackageIndex
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.images import Images
from budflow.sandbox.docker.runner import DockerRunner
from budflow.sandbox.egress.proxy import Egress
from ray_jobs import sandbox_relays
from ray_jobs.executor import RayExecutor
from ray_jobs.sandbox import RaySandboxes
from ray_jobs.sandbox_node import sign
from tests.docker_engine import DockerServer
from tests.execution.office import Flow, Office
from tests.ray_jobs.sandboxed_ray import SandboxedRay
from tests.ray_session import RaySession
from tests.sandbox.docker.package_index import HOST, PackageServer, serving_packages
from tests.sandbox.tasks import Lines, parts, task, values
from tests.until import until

pytestmark = [pytest.mark.ray, pytest.mark.docker, pytest.mark.xdist_group("ray")]

OWNER = "test-ray"
#: What the code of an author finds where it looks for a way back to Ray.
LOOK = """
import glob, os, socket

def tried(what):
    try:
        return str(what())
    except BaseException as error:
        return type(error).__name__

def reach():
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port))

return {
    "variables": sorted(os.environ),
    "parent": tried(lambda: open(f"/proc/{os.getppid()}/environ").read()),
    "ray": tried(lambda: __import__("ray")),
    "budflow": tried(lambda: __import__("ray_jobs")),
    "reach": tried(reach),
    "host": tried(lambda: os.listdir(home)),
    "programs": [tried(lambda: open(path).read()) for path in glob.glob("/proc/[0-9]*/cmdline")],
    "sockets": tried(lambda: sorted(os.listdir("/run/budflow"))),
}
"""


@pytest.fixture
def on_ray(ray_session: RaySession) -> SandboxedRay:
    return SandboxedRay(ray_session)


@pytest.fixture(scope="module")
def packages() -> Iterator[PackageServer]:
    with serving_packages() as packages:
        packages.add_wheel("greeting", "1.0", {"greeting.py": "WORD = 'hello'\n" + "#" * 100_000})
        yield packages


@pytest.fixture(scope="module")
def engine(docker_server: DockerServer) -> Iterator[Engine]:
    engine = Engine(docker_server.url)
    build_base(engine)
    yield engine
    engine.close()


@pytest.fixture
async def sandboxd(
    on_ray: SandboxedRay, engine: Engine, docker_server: DockerServer, packages: PackageServer, tmp_path: Path
) -> AsyncIterator[Daemon]:
    async def resolve(host: str, port: int) -> Sequence[IpAddress]:
        assert host == HOST
        return [IPv4Address("127.0.0.1")]

    policy = AddressPolicy(parse_allow((f"{HOST}:{packages.port}",)))
    index = PackageIndex((f"http://{HOST}:{packages.port}",), packages.url)
    egress = Egress(partial(checked_addresses, policy, resolve))
    builder = Builder(engine, OWNER, egress, index, BuildLimits(), "runc")
    runner = await DockerRunner.open(Engine(docker_server.url), OWNER, Images(engine, tmp_path, builder))
    async with on_ray.serving(runner, egress) as daemon:
        yield daemon
    await runner.close()


@pytest.fixture
def sandbox(on_ray: SandboxedRay, sandboxd: Daemon) -> SandboxCapability:
    return sandbox_of(on_ray, "prj_1")


def sandbox_of(on_ray: SandboxedRay, project_id: str) -> SandboxCapability:
    return RaySandboxes(partial(sign, on_ray.directory)).of(project_id)


async def image_of(sandbox: SandboxCapability, **fields: Any) -> str:
    """The digest of the image that code of such a task runs in, as its log says."""
    log = Lines()
    await values(sandbox, task("return None", **fields), log)
    [image] = [fields["image"] for _, _, fields, _ in log.lines if "image" in fields]
    return str(image)


def dashboard(on_ray: SandboxedRay, path: str) -> list[dict[str, Any]]:
    """What Ray's dashboard answers its own pages."""
    asked = Request(f"{on_ray.dashboard}{path}", headers={"Authorization": f"Bearer {on_ray.token}"})
    with urlopen(asked, timeout=20) as answer:
        result: list[dict[str, Any]] = json.load(answer)["data"]["result"]["result"]
    return result


def relays(image: str) -> list[str]:
    """The names of the relays to containers of an image."""
    return [name for name in list_named_actors() if name.startswith("budflow-sandbox/") and image[:19] in name]


def end_relays(image: str) -> None:
    for name in relays(image):
        ray.kill(ray.get_actor(name))


async def test_code_gets_items_and_gives_items(sandbox: SandboxCapability) -> None:
    log = Lines()
    items = [{"n": n, "text": "x" * 200} for n in range(2_500)]

    given = await values(sandbox, task("print('hi')\nreturn [{'n': i['n'] * 2} for i in items]", items), log)

    assert given == [{"n": 2 * n} for n in range(2_500)]
    assert ("info", "hi", {}, None) in log.lines
    with pytest.raises(CodeFailed, match="line 2"):
        await values(sandbox, task("x = 0\nreturn 1 / x"))


async def test_ray_shows_the_code_with_the_digest_of_its_image(
    on_ray: SandboxedRay, sandbox: SandboxCapability
) -> None:
    image = await image_of(sandbox, name="orders/exe_1/price")
    name = f"orders/exe_1/price@{image[:19]}"
    expected = {"budflow_sandbox": {"image": image, "profile": "strict"}}

    def shown_tasks() -> list[TaskState]:
        # By their name: without a filter only the first hundred of the cluster's tasks come.
        return list_tasks(address=on_ray.dashboard, detail=True, filters=[("name", "=", name)])

    await until(lambda: any(one.state == "FINISHED" for one in shown_tasks()), 20)
    [relay] = [
        one
        for one in list_actors(address=on_ray.dashboard, detail=True, limit=1_000)
        if one.state == "ALIVE" and one.name in relays(image)
    ]
    [shown] = shown_tasks()
    assert json.loads(relay.serialized_runtime_env or "") == expected
    assert (shown.actor_id, shown.func_or_class_name) == (relay.actor_id, "SandboxRelay.run")
    told = dashboard(on_ray, "/api/v0/actors?detail=1&limit=1000")
    assert [json.loads(one["serialized_runtime_env"]) for one in told if one["name"] == relay.name] == [expected]
    assert name in {one["name"] for one in dashboard(on_ray, "/api/v0/tasks?detail=1&limit=10000")}


async def test_the_second_code_with_the_same_image_finds_its_environment_ready(
    on_ray: SandboxedRay, sandbox: SandboxCapability
) -> None:
    image = await image_of(sandbox, name="w/e/first")
    [first] = relays(image)
    made = on_ray.agent_log().count(f"The sandbox image {image} is ready")

    assert await image_of(sandbox_of(on_ray, "prj_1"), name="w/e/second") == image

    assert made == 1
    assert relays(image) == [first]
    assert on_ray.agent_log().count(f"The sandbox image {image} is ready") == 1


async def test_another_project_has_another_relay_of_the_same_environment(
    on_ray: SandboxedRay, sandbox: SandboxCapability
) -> None:
    image = await image_of(sandbox)

    assert await image_of(sandbox_of(on_ray, "prj_2")) == image

    assert {name.split("/")[2] for name in relays(image)} == {"prj_1", "prj_2"}
    assert on_ray.agent_log().count(f"The sandbox image {image} is ready") == 1


async def test_requirements_are_there_and_their_image_goes_with_the_last_who_used_it(
    on_ray: SandboxedRay, sandbox: SandboxCapability, engine: Engine
) -> None:
    log = Lines()
    greet = task("import greeting\nreturn {'word': greeting.WORD}", requirements=("greeting",))

    assert await values(sandbox, greet, log) == [{"word": "hello"}]
    image = await image_of(sandbox, requirements=("greeting",))
    assert image != await image_of(sandbox)
    assert any(message.startswith("Looking for greeting") for _, message, _, _ in log.lines)
    assert engine.image(image) is not None

    end_relays(image)

    await until(lambda: engine.image(image) is None, 30)
    assert engine.image(await image_of(sandbox)) is not None
    assert await values(sandbox_of(on_ray, "prj_1"), greet) == [{"word": "hello"}]


async def test_requirements_that_are_nowhere_fail_the_code(sandbox: SandboxCapability) -> None:
    with pytest.raises(RequirementsFailed, match="nowhere"):
        await values(sandbox, task("return None", requirements=("nowhere",)))


async def test_the_code_reaches_the_hosts_that_it_names_and_no_other(
    packages: PackageServer, sandbox: SandboxCapability
) -> None:
    code = "import urllib.request\nreturn {'status': urllib.request.urlopen(item['url'], timeout=10).status}"
    named = (f"{HOST}:{packages.port}",)

    given = await values(sandbox, task(code, [{"url": f"{packages.url}/greeting/"}], mode="each", network=named))
    [refused, _place] = await parts(
        sandbox, task(code, [{"url": f"http://other.test:{packages.port}/"}], mode="each", network=named)
    )

    assert given == [{"status": 200}]
    assert "403" in refused.failed[0].message


async def test_the_code_sees_nothing_of_ray(on_ray: SandboxedRay, sandbox: SandboxCapability) -> None:
    port = int(on_ray.address.rpartition(":")[2])
    code = f"port = {port}\nhome = {str(on_ray.directory)!r}\n{LOOK}"

    [found] = await values(sandbox, task(code))

    assert not [name for name in found["variables"] if name.startswith(("RAY_", "BUDFLOW_"))]
    assert found["parent"] in ("PermissionError", "FileNotFoundError")
    assert found["ray"] == "ModuleNotFoundError"
    assert found["budflow"] == "ModuleNotFoundError"
    assert found["reach"] in ("PermissionError", "OSError")
    assert found["host"] == "FileNotFoundError"
    assert not [program for program in found["programs"] if "ray" in program or "pytest" in program]
    assert on_ray.token not in json.dumps(found)


async def test_code_that_nobody_waits_for_ends(sandboxd: Daemon, sandbox: SandboxCapability) -> None:
    log = Lines()
    code = task("progress(0.5, 'half')\nimport time\ntime.sleep(60)")
    taking = asyncio.create_task(values(sandbox, code, log))
    await until(lambda: any(message == "half" for _, message, _, _ in log.lines), 30)

    taking.cancel()

    async def idle() -> bool:
        return not (await sandboxd.describe())["running"]

    await until(idle, 10)


@pytest.mark.parametrize("ticket", ["forged", "another project's", "another image's", "used", "expired", ""])
async def test_a_ticket_that_is_not_for_this_code_is_refused(
    on_ray: SandboxedRay, sandbox: SandboxCapability, ticket: str
) -> None:
    image = await image_of(sandbox)
    ours, theirs = Tickets(read_key(on_ray.directory)), Tickets(b"x" * 32)
    used = ours.issue("requester", "prj_1", REQUESTER_SECONDS, image=image)
    tickets = {
        "forged": theirs.issue("requester", "prj_1", REQUESTER_SECONDS, image=image),
        "another project's": ours.issue("requester", "prj_2", REQUESTER_SECONDS, image=image),
        "another image's": ours.issue("requester", "prj_1", REQUESTER_SECONDS, image="sha256:" + "0" * 64),
        "expired": ours.issue("requester", "prj_1", -1, image=image),
        "used": used,
        "": "",
    }

    async def sign(project_id: str, of: str) -> str:
        return tickets[ticket] if of else ours.issue("requester", project_id, REQUESTER_SECONDS)

    if ticket == "used":
        await values(RaySandboxes(sign).of("prj_1"), task("return None"))

    with pytest.raises(SandboxUnavailable, match="ticket"):
        await values(RaySandboxes(sign).of("prj_1"), task("return None"))


async def test_a_relay_that_nobody_uses_ends_and_the_next_code_has_another(
    on_ray: SandboxedRay, sandboxd: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_relays, "IDLE_SECONDS", 0.5)
    sandbox = sandbox_of(on_ray, "prj_idle")
    image = await image_of(sandbox)

    await until(lambda: not any("/prj_idle/" in name for name in relays(image)), 20)

    assert await image_of(sandbox_of(on_ray, "prj_idle")) == image


async def test_on_a_full_node_the_relay_goes_that_was_idle_for_longest_and_none_that_is_used(
    on_ray: SandboxedRay, sandboxd: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_relays("")
    await until(lambda: not relays(""), 20)
    image = await image_of(sandbox_of(on_ray, "prj_old"))
    await image_of(sandbox_of(on_ray, "prj_new"))
    monkeypatch.setattr(sandbox_relays, "RELAYS_A_NODE_MAX", 2)

    with pytest.raises(SandboxBusy):
        await image_of(sandbox_of(on_ray, "prj_more"))
    monkeypatch.setattr(sandbox_relays, "EVICTED_IDLE_SECONDS", 0.0)
    await image_of(sandbox_of(on_ray, "prj_more"))

    await until(lambda: {name.split("/")[2] for name in relays(image)} == {"prj_new", "prj_more"}, 20)


async def test_a_sandboxd_that_is_gone_is_told(
    on_ray: SandboxedRay, sandbox: SandboxCapability, sandboxd: Daemon
) -> None:
    await image_of(sandbox)
    (on_ray.directory / "sandboxd.sock").unlink()

    with pytest.raises(SandboxUnavailable, match="No sandboxd serves"):
        await values(sandbox, task("return None"))


@pytest.fixture
async def office(ray_executor: RayExecutor) -> AsyncIterator[Office]:
    office = Office(ray_executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        yield office
    await office.supervisor.stop(0.1)


async def test_a_runner_actor_has_the_code_of_an_execution_run_in_the_sandbox(
    on_ray: SandboxedRay, sandboxd: Daemon, office: Office
) -> None:
    code = {"type": "code.python", "params": {"code": "print(len(items))\nreturn [{'n': i['n'] + 1} for i in items]"}}
    flow = Flow({"add": code}, ["start > add"], [{"n": 1}, {"n": 2}])

    active = await office.run(flow)

    assert active.finished is not None
    assert active.finished.status == "succeeded"
    assert active.result().to_json() == [{"n": 2}, {"n": 3}]
    assert ("add", "info", "2", None, 1) in await office.logged(active.execution.id)
    name = f"{active.execution.workflow_id}/{active.execution.id}/add@sha256:"

    def seen() -> bool:
        return any(one.name.startswith(name) for one in list_tasks(address=on_ray.dashboard, limit=10_000))

    await until(seen, 20)


async def test_code_ends_when_its_runner_dies(sandboxd: Daemon, office: Office, ray_executor: RayExecutor) -> None:
    code = {"type": "code.python", "params": {"code": "import time\ntime.sleep(60)"}}
    await office.start(Flow({"sleep": code}, ["start > sleep"], [{"n": 1}]))

    async def running() -> bool:
        return bool((await sandboxd.describe())["running"])

    async def idle() -> bool:
        return not await running()

    await until(running, 30)
    [runner] = [one for one in ray_executor.pool.runners if one.executions]

    os.kill(runner.place.pid, signal.SIGKILL)

    await until(idle, 20)


async def test_cancelling_an_execution_ends_its_code(sandboxd: Daemon, office: Office) -> None:
    code = {"type": "code.python", "params": {"code": "progress(0.1, 'begun')\nimport time\ntime.sleep(60)"}}
    active = await office.start(Flow({"sleep": code}, ["start > sleep"], [{"n": 1}]))

    async def running() -> bool:
        return bool((await sandboxd.describe())["running"])

    async def idle() -> bool:
        return not await running()

    await until(running, 30)
    await office.supervisor.cancel("default", active.execution.id, "test")
    await active.ended

    await until(idle, 10)
    assert active.finished is not None
    assert active.finished.status == "cancelled"
