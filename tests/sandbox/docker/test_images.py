"""Images with requirements, built by a real engine from an index on loopback that has the tests' own wheels."""

import asyncio
import gzip
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from budflow.egress.policy import AddressPolicy, IpAddress, parse_allow
from budflow.egress.transport import checked_addresses
from budflow.model.sandbox import RequirementsFailed, SandboxUnavailable
from budflow.sandbox.docker.build import Builder, BuildLimits, PackageIndex
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.hardening import OWNER_LABEL
from budflow.sandbox.docker.images import LOCK_SECONDS, Images
from budflow.sandbox.egress.proxy import Egress, EgressConnection
from tests.sandbox.docker.confined import OWNER, Confined
from tests.sandbox.docker.package_index import HOST, PackageServer, serving_packages, wheel

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

LIMITS = BuildLimits()
#: A package's page, with a file where the metadata of clouds is.
LINK_ELSEWHERE = b'<a href="http://169.254.169.254/elsewhere-1.0-py3-none-any.whl#sha256=' + b"0" * 64 + b'">x</a>'


@pytest.fixture(scope="module")
def packages() -> Iterator[PackageServer]:
    with serving_packages() as packages:
        packages.add_wheel("greeting", "1.0", {"greeting.py": "def hello(): return 'old'\n"})
        packages.add_wheel(
            "greeting", "2.0", {"greeting.py": "import words\ndef hello(): return words.WORD\n"}, requires="words>=1"
        )
        packages.add_wheel("words", "1.5", {"words/__init__.py": "WORD = 'hello'\n"})
        yield packages


@pytest.fixture
def connections() -> list[EgressConnection]:
    return []


@pytest.fixture
def images(
    engine: Engine, packages: PackageServer, tmp_path: Path, connections: list[EgressConnection], base_image: str
) -> Images:
    return make_images(engine, packages, tmp_path, connections, base_image)


def make_images(
    engine: Engine,
    packages: PackageServer,
    directory: Path,
    connections: list[EgressConnection],
    base_image: str,
    limits: BuildLimits = LIMITS,
    hosts: tuple[str, ...] = (),
) -> Images:
    async def resolve(host: str, port: int) -> Sequence[IpAddress]:
        return [IPv4Address("127.0.0.1" if host == HOST else host)]

    policy = AddressPolicy(parse_allow((f"{HOST}:{packages.port}",)))
    egress = Egress(partial(checked_addresses, policy, resolve), on_connection=connections.append)
    index = PackageIndex(hosts, packages.url)
    return Images(engine, directory, Builder(engine, OWNER, egress, index, limits, "runc"), base_image)


def outcomes_elsewhere(connections: Sequence[EgressConnection]) -> set[tuple[str, str]]:
    """What became of connections to hosts other than the index."""
    return {(connection.host, connection.outcome) for connection in connections if connection.host != HOST}


def make_old(directory: Path) -> None:
    """The locks there become older than they may be."""
    for file in directory.iterdir():
        then = file.stat().st_mtime - LOCK_SECONDS - 1
        os.utime(file, (then, then))


async def refusal(images: Images, *requirements: str) -> RequirementsFailed:
    with pytest.raises(RequirementsFailed) as refused:
        await images.prepare(requirements, print)
    return refused.value


async def test_code_finds_its_requirements_and_what_they_require(
    images: Images, engine: Engine, sockets: Path, packages: PackageServer, connections: list[EgressConnection]
) -> None:
    told: list[str] = []

    image = await images.prepare(("Greeting >= 1",), told.append)

    came = Confined(engine, image, sockets)("import greeting; print(greeting.hello(), greeting.__file__)")
    assert came.words == ["hello", "/opt/packages/greeting.py"], came.err
    assert told[0].startswith("Looking for greeting>=1")
    assert any("Installed 2 packages" in line for line in told), told
    assert not any("Exception" in line for line in told), told
    assert connections, "Every connection was told."
    assert {(connection.name, connection.host, connection.outcome) for connection in connections} == {
        ("build/hosts", HOST, "closed"),
        ("build/lock", HOST, "closed"),
        ("build/install", HOST, "closed"),
    }
    assert engine.containers_labelled(OWNER_LABEL, OWNER) == []


async def test_the_same_requirements_have_the_same_image_and_ask_the_index_nothing(
    images: Images,
    engine: Engine,
    packages: PackageServer,
    tmp_path: Path,
    connections: list[EgressConnection],
    base_image: str,
) -> None:
    image = await images.prepare(("greeting", "words"), print)
    packages.asked.clear()

    assert await images.prepare(("words", "GREETING"), print) == image
    later = make_images(engine, packages, tmp_path, connections, base_image)
    assert await later.prepare(("words", "greeting"), print) == image
    assert packages.asked == []


async def test_who_asks_for_the_same_at_once_waits_for_one_build(
    images: Images, packages: PackageServer, connections: list[EgressConnection]
) -> None:
    packages.add_wheel("together", "1.0", {"together.py": ""})
    packages.asked.clear()

    first, second = await asyncio.gather(images.prepare(("together",), print), images.prepare(("together",), print))

    assert first == second
    assert packages.asked.count("/files/together-1.0-py3-none-any.whl") <= 3, "Locked once, installed once."


async def test_after_a_day_it_is_locked_anew_and_the_same_lock_has_the_same_image(
    images: Images,
    engine: Engine,
    packages: PackageServer,
    tmp_path: Path,
    connections: list[EgressConnection],
    base_image: str,
) -> None:
    image = await images.prepare(("words",), print)
    make_old(tmp_path)
    packages.asked.clear()

    later = make_images(engine, packages, tmp_path, connections, base_image)

    assert await later.prepare(("words",), print) == image
    assert "/simple/words/" in packages.asked


async def test_a_package_that_is_a_source_is_refused(images: Images, packages: PackageServer) -> None:
    source = io.BytesIO()
    with tarfile.open(fileobj=source, mode="w") as archive:
        setup = b"raise SystemExit('the build ran')"
        info = tarfile.TarInfo("onlysource-1.0/setup.py")
        info.size = len(setup)
        archive.addfile(info, io.BytesIO(setup))
    packages.add("onlysource", "onlysource-1.0.tar.gz", gzip.compress(source.getvalue()))

    refused = await refusal(images, "onlysource")

    assert "no usable wheels" in refused.message or "building from source is disabled" in refused.message
    assert "the build ran" not in refused.message


async def test_a_package_that_there_is_not_is_told_by_its_name(images: Images) -> None:
    assert "nothinglikeit" in (await refusal(images, "nothinglikeit")).message


async def test_a_wheel_that_is_not_what_the_index_says_is_refused(images: Images, packages: PackageServer) -> None:
    packages.add_wheel("forged", "1.0", {"forged.py": ""}, digest="0" * 64)

    assert "ash" in (await refusal(images, "forged")).message


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("trapup", "../../../usr/local/lib/outside.py"),
        ("traproot", "/usr/local/lib/outside.py"),
        ("trapdata", "trapdata-1.0.data/scripts/../../../../usr/outside"),
    ],
)
async def test_a_wheel_whose_paths_lead_out_changes_nothing_outside(
    images: Images, engine: Engine, packages: PackageServer, sockets: Path, name: str, path: str
) -> None:
    packages.add(name, f"{name}-1.0-py3-none-any.whl", wheel(name, "1.0", {path: "x = 1\n", f"{name}.py": ""}))

    try:
        image = await images.prepare((name,), print)
    except RequirementsFailed:
        return
    code = "import os; print(*[p for p, _, f in os.walk('/') if any('outside' in n for n in f)])"
    assert Confined(engine, image, sockets)(code).out.strip() in {"", "/opt/packages"}


async def test_code_in_a_wheel_does_not_run_until_it_is_imported(
    images: Images, engine: Engine, packages: PackageServer, sockets: Path
) -> None:
    packages.add_wheel(
        "eager",
        "1.0",
        {
            "eager.pth": "import sys; sys.stdout.write('it ran')\n",
            "sitecustomize.py": "print('it ran')\n",
            "eager.py": "",
        },
    )
    image = await images.prepare(("eager",), print)

    assert Confined(engine, image, sockets)("print('quiet')").out == "quiet\n"


async def test_a_package_does_not_stand_in_for_the_workers_own_modules(
    images: Images, engine: Engine, packages: PackageServer, sockets: Path
) -> None:
    packages.add_wheel(
        "shadow", "1.0", {"websockets.py": "", "json.py": "", "budflow/__init__.py": "", "shadow.py": ""}
    )
    image = await images.prepare(("shadow",), print)

    came = Confined(engine, image, sockets)("import json, websockets, budflow; print(json.dumps(1), budflow.__file__)")
    assert came.words == ["1", came.words[1]]
    assert "/opt/packages" not in came.out


async def test_packages_that_are_too_large_are_refused(
    engine: Engine, packages: PackageServer, tmp_path: Path, connections: list[EgressConnection], base_image: str
) -> None:
    packages.add_wheel("large", "1.0", {"large.py": "#" * 3_000_000})
    images = make_images(engine, packages, tmp_path, connections, base_image, BuildLimits(image_bytes=1_000_000))

    assert await refusal(images, "large")
    assert engine.containers_labelled(OWNER_LABEL, OWNER) == []


async def test_a_build_that_takes_too_long_is_ended(
    engine: Engine, packages: PackageServer, tmp_path: Path, connections: list[EgressConnection], base_image: str
) -> None:
    images = make_images(engine, packages, tmp_path, connections, base_image, BuildLimits(seconds=0.01))

    assert "took longer" in (await refusal(images, "words")).message
    assert engine.containers_labelled(OWNER_LABEL, OWNER) == []


async def test_a_build_reaches_no_host_but_those_of_the_index(
    engine: Engine, packages: PackageServer, tmp_path: Path, connections: list[EgressConnection], base_image: str
) -> None:
    packages.files["/simple/elsewhere/"] = LINK_ELSEWHERE
    images = make_images(engine, packages, tmp_path, connections, base_image, hosts=(f"http://{HOST}:{packages.port}",))

    refused = await refusal(images, "elsewhere")

    assert "The code may not reach 169.254.169.254:80" in refused.message
    assert outcomes_elsewhere(connections) == {("169.254.169.254", "refused")}


async def test_a_private_address_that_the_index_links_to_is_refused(
    images: Images, packages: PackageServer, connections: list[EgressConnection]
) -> None:
    packages.files["/simple/elsewhere/"] = LINK_ELSEWHERE

    await refusal(images, "elsewhere")

    assert outcomes_elsewhere(connections) == {("169.254.169.254", "refused")}


async def test_without_a_way_out_there_are_no_requirements(engine: Engine, tmp_path: Path, base_image: str) -> None:
    images = Images(engine, tmp_path, None, base_image)

    assert await images.prepare((), print) == base_image
    with pytest.raises(SandboxUnavailable, match="no way to a package index"):
        await images.prepare(("words",), print)


async def test_a_base_image_that_the_operator_names_must_be_there(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="no image 'nobody/knows:it'"):
        await Images(engine, tmp_path, None, "nobody/knows:it").prepare((), print)


async def test_the_operators_base_image_is_used_by_its_digest(engine: Engine, tmp_path: Path, base_image: str) -> None:
    assert await Images(engine, tmp_path, None, base_image).prepare((), print) == base_image
