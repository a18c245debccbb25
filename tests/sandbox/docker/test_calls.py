"""The system calls of code in a container, against the real kernel: those that are refused, and those that work."""

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.seccomp import profile
from tests.sandbox.docker.confined import Confined

pytestmark = [
    pytest.mark.docker,
    pytest.mark.xdist_group("docker"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="The probe knows the numbers of x86-64 only."),
]

PROBE = (Path(__file__).parent / "probe_calls.py").read_text()
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10


@pytest.fixture(scope="module", params=[False, True], ids=["without network", "with egress"])
def probed(request: pytest.FixtureRequest, engine: Engine, base_image: str, tmp_path_factory: Any) -> dict[str, Any]:
    """What came of the probe, and with it `internet`."""
    sockets = tmp_path_factory.mktemp("sockets")
    came = Confined(engine, base_image, sockets)(PROBE, internet=request.param)
    assert came.out, came.err
    return {**json.loads(came.out), "internet": request.param}


def test_dangerous_calls_are_refused(probed: dict[str, Any]) -> None:
    assert {name: outcome for name, outcome in probed["calls"].items() if outcome != "EPERM"} == {}


def test_no_namespace_can_be_made(probed: dict[str, Any]) -> None:
    assert set(probed["clone"].values()) == {"EPERM"}
    assert probed["clone3"] == "ENOSYS", "The C library falls back on clone, whose flags can be seen."


def test_terminals_interfaces_and_file_systems_cannot_be_commanded(probed: dict[str, Any]) -> None:
    assert set(probed["ioctl"].values()) == {"EPERM"}


def test_only_its_own_limits_can_be_changed(probed: dict[str, Any]) -> None:
    assert probed["prlimit of another"] == "EPERM"
    assert probed["prlimit of itself"] == "allowed"


def test_sockets_are_of_the_machine_and_with_egress_of_tcp(probed: dict[str, Any]) -> None:
    """Neither vsock, netlink, packet, crypto nor bluetooth, of any type."""
    unix = {f"{AF_UNIX} {name}" for name in ("stream", "dgram", "seq", "raw")}
    tcp = {f"{AF_INET} stream", f"{AF_INET6} stream"} if probed["internet"] else set()

    assert set(probed["sockets"]) <= unix | tcp
    assert tcp <= set(probed["sockets"])


def test_other_protocols_than_tcp_are_refused(probed: dict[str, Any]) -> None:
    assert set(probed["protocols"].values()) == {"EPERM"}


def test_calls_of_other_architectures_end_the_process(probed: dict[str, Any]) -> None:
    assert {probed["32-bit"], probed["x32"]} <= {"SIGSYS", "SIGSEGV"}


def test_the_profile_is_an_allow_list_of_this_architecture_alone() -> None:
    made = profile(internet=False)

    assert made["defaultAction"] == "SCMP_ACT_ERRNO"
    assert all(arch["subArchitectures"] == [] for arch in made["archMap"])
    names = [name for rule in made["syscalls"] for name in rule["names"]]
    assert not {"io_uring_setup", "ptrace", "unshare", "bpf", "mount", "keyctl"} & set(names)


WORKS = {
    "threads": "import threading; t = threading.Thread(target=print, args=('ok',)); t.start(); t.join()",
    "a subprocess": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(\"ok\")'], check=True)",
    "asyncio": "import asyncio; print(asyncio.run(asyncio.sleep(0.001, 'ok')))",
    "an asyncio subprocess": """
        import asyncio, sys
        async def main():
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('ok')")
            await process.wait()
        asyncio.run(main())
    """,
    "a pool of processes": """
        import multiprocessing
        with multiprocessing.Pool(2) as pool:
            print("ok" if pool.map(abs, [-1, -2]) == [1, 2] else "no")
    """,
    "a pool of spawned processes": """
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing
        with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver")) as pool:
            print("ok" if list(pool.map(abs, [-1])) == [1] else "no")
    """,
    "shared memory": """
        from multiprocessing.shared_memory import SharedMemory
        shared = SharedMemory(create=True, size=1000); shared.close(); shared.unlink(); print("ok")
    """,
    "socketpairs that pass descriptors": """
        import os, socket
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        r, w = os.pipe()
        socket.send_fds(a, [b"x"], [w])
        _, (given,), _, _ = socket.recv_fds(b, 10, 1)
        os.write(given, b"ok")
        print(os.read(r, 2).decode())
    """,
    "limits, sessions and signals": """
        import ctypes, os, resource, signal
        pid = os.fork()
        if pid == 0:
            os.setsid()
            ctypes.CDLL(None).prctl(4, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
            signal.pause()
        os.kill(pid, signal.SIGKILL)
        print("ok" if os.waitpid(pid, 0)[1] == signal.SIGKILL else "no")
    """,
    "files in /tmp": """
        import os, shutil, tempfile
        with tempfile.TemporaryDirectory() as d:
            with open(d + "/a", "w") as f: f.write("ok")
            shutil.copytree(d, d + "2"); os.rename(d + "2/a", d + "/b"); os.chmod(d + "/b", 0o600)
            print(open(d + "/b").read())
    """,
    "the usual modules": """
        import ssl, sqlite3, ctypes, lzma, bz2, zlib, decimal, hashlib, uuid, zoneinfo, xml.etree.ElementTree, csv
        assert hashlib.sha256(b"").hexdigest() and sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
        assert ssl.create_default_context().get_ca_certs() is not None and uuid.uuid4()
        print("ok" if zoneinfo.ZoneInfo("Europe/Berlin") else "no")
    """,
    "the worker's library": "import websockets.asyncio.client, websockets.speedups; print('ok')",
}


@pytest.mark.parametrize("name", WORKS)
def test_ordinary_code_works(confined: Confined, name: str) -> None:
    came = confined(WORKS[name])

    assert came.words == ["ok"], came.err
