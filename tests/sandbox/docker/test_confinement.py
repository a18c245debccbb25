"""What code in a container can see, write and use up, with a real engine: it tries to get out, or to take too much."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from budflow.sandbox.egress.proxy import Egress
from budflow.sandbox.runners import EGRESS_SOCKET, Limits
from tests.egress.loopback import serving
from tests.sandbox.docker.confined import Confined

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]

#: Told by code that tried something: the name of the error, or what it got.
TRY = """
import errno, os, socket
def attempt(do):
    try:
        return repr(do())
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    except Exception as error:
        return type(error).__name__
"""


@pytest.fixture
def abstract_listener() -> Iterator[str]:
    """A Unix socket of the host that has no file, which only a network namespace keeps out."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0budflow-tests-abstract")
        listener.listen()
        yield "budflow-tests-abstract"


@pytest.fixture
def loopback_port() -> Iterator[int]:
    """A server of the host on 127.0.0.1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_it_is_nobody_without_any_privilege(confined: Confined) -> None:
    came = confined("print(open('/proc/self/status').read())")
    status = dict(line.split(":\t", 1) for line in came.out.splitlines() if ":\t" in line)

    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
    assert status["Groups"].split() == ["65534"]
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_it_sees_its_own_processes_only(confined: Confined) -> None:
    assert confined("import os; print(os.getpid(), *[n for n in os.listdir('/proc') if n.isdigit()])").words == [
        "1",
        "1",
    ]


def test_its_environment_has_nothing_of_the_hosts(confined: Confined) -> None:
    came = confined("import os, json; print(json.dumps(dict(os.environ)))")

    assert set(json.loads(came.out)) == {"HOME", "HOSTNAME", "LANG", "PATH", "SSL_CERT_FILE"}
    assert json.loads(came.out)["HOSTNAME"] == "sandbox"


def test_there_is_no_shell_no_package_installer_and_no_server(confined: Confined) -> None:
    code = """
        import importlib.util, os
        found = [os.path.join(d, f) for p in ("/bin", "/sbin", "/usr") for d, _, fs in os.walk(p) for f in fs]
        found = [f for f in found if os.access(f, os.X_OK) and "/lib" not in os.path.dirname(f)]
        print(*found)
        for name in ("pip", "ensurepip", "pydantic", "docker", "ray", "budflow.server", "budflow.sandbox.broker"):
            try:
                if importlib.util.find_spec(name): print(name)
            except ModuleNotFoundError:
                pass
    """
    programs = set(confined(code).words)

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert programs == {f"/usr/local/bin/python{suffix}" for suffix in ("", "3", version)}


def test_nothing_can_be_written_but_tmp_and_shm(confined: Confined) -> None:
    code = """
        import os
        written = []
        for place, names, _ in os.walk("/"):
            if place.startswith(("/proc/", "/sys/fs/cgroup")) and place.count("/") > 3: names.clear()
            try:
                with open(os.path.join(place, "budflow-probe"), "w"): pass
                written.append(place)
            except OSError:
                pass
        print(*written)
    """
    assert set(confined(code).words) <= {"/tmp", "/dev/shm", "/dev/mqueue"}


CLOSED = (
    *("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger"),
    *("/proc/sys/net/ipv4/ip_forward", "/sys/kernel/uevent_helper", "/sys/fs/cgroup/memory.max"),
    *("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max"),
    *("/sys/fs/cgroup/devices/devices.allow", "/etc/passwd", "/usr/local/lib/python3/site.py", "/opt/packages"),
    *("/run/budflow", "/dev/mem", "/dev/kmem", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse", "/dev/vsock"),
    "/dev/net/tun",
)
HIDDEN = ("/proc/kcore", "/proc/keys", "/proc/cmdline", "/sys/firmware", "/sys/class", "/sys/block", "/sys/kernel")
REFUSALS = {"ENOENT", "EACCES", "EPERM", "EROFS", "EISDIR", "ENXIO"}


def test_files_of_the_kernel_and_of_the_image_cannot_be_changed(confined: Confined) -> None:
    code = f"{TRY}\nimport json\nprint(json.dumps({{p: attempt(lambda: open(p, 'r+')) for p in {CLOSED}}}))"
    found = json.loads(confined(code).out)

    assert {path: outcome for path, outcome in found.items() if outcome not in REFUSALS} == {}


def test_it_can_only_become_more_likely_to_be_ended(confined: Confined) -> None:
    """When the machine has no memory left."""
    code = f"{TRY}\nprint(attempt(lambda: open('/proc/1/oom_score_adj', 'wb', buffering=0).write(b'-1000')))"

    assert confined(code).words == ["EACCES"]


def test_what_the_kernel_tells_of_the_machine_is_hidden(confined: Confined) -> None:
    code = f"""{TRY}
for path in {HIDDEN}:
    print(attempt(lambda: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1)))
"""
    assert set(confined(code).words) <= {"[]", "b''", "ENOENT", "EACCES", "EPERM"}


def test_it_does_not_learn_of_the_hosts_network(confined: Confined) -> None:
    code = "print(*[line for name in ('resolv.conf', 'hosts') for line in open('/etc/' + name) if '#' not in line])"
    told = confined(code, internet=True).words

    assert set(told) <= {
        *("nameserver", "127.0.0.1", "search", ".", "sandbox", "localhost", "::1", "ip6-localhost", "ip6-loopback"),
        *("fe00::0", "ip6-localnet", "fe00::", "ff00::0", "ip6-mcastprefix", "ff00::", "ff02::1", "ip6-allnodes"),
        *("ff02::2", "ip6-allrouters"),
    }


def test_the_hosts_files_are_not_there_not_even_through_links(confined: Confined, tmp_path: Path) -> None:
    code = f"""{TRY}
os.symlink("/proc/1/root{tmp_path}", "/tmp/a")
os.symlink("/../../../..{tmp_path}", "/tmp/b")
for path in ("{tmp_path}", "/tmp/a", "/tmp/b", "/proc/self/cwd/../home", "/proc/1/cwd/../../root", "/home", "/root",
             "/var/run/docker.sock", "/run/docker.sock", "/run/containerd", "/run/secrets"):
    print(attempt(lambda: os.stat(path)))
"""
    assert set(confined(code).words) == {"ENOENT"}


def test_no_network_of_any_kind_is_reached(confined: Confined, abstract_listener: str, loopback_port: int) -> None:
    code = f"""{TRY}
def tcp(host, port):
    return lambda: socket.create_connection((host, port), timeout=1)
def unix(path):
    return lambda: socket.socket(socket.AF_UNIX).connect(path)
print(attempt(tcp("127.0.0.1", {loopback_port})), attempt(tcp("1.1.1.1", 53)), attempt(tcp("169.254.169.254", 80)))
print(attempt(tcp("::1", {loopback_port})), attempt(lambda: socket.getaddrinfo("example.com", 80)))
print(attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("1.1.1.1", 53))))
print(attempt(unix("\\0{abstract_listener}")), attempt(unix("/var/run/docker.sock")))
"""
    assert set(confined(code).words) <= {"EPERM", "gaierror", "ECONNREFUSED", "ENOENT"}


def test_with_egress_there_is_loopback_and_nothing_else(
    confined: Confined, abstract_listener: str, loopback_port: int
) -> None:
    code = f"""{TRY}
def tcp(host, port):
    return lambda: socket.create_connection((host, port), timeout=1)
print(attempt(tcp("127.0.0.1", {loopback_port})), attempt(tcp("1.1.1.1", 53)), attempt(tcp("169.254.169.254", 80)))
print(attempt(tcp("172.17.0.1", 22)), attempt(tcp("2606:4700:4700::1111", 53)))
print(attempt(lambda: socket.getaddrinfo("example.com", 80)))
print(attempt(lambda: socket.socket(socket.AF_UNIX).connect("\\0{abstract_listener}")))
"""
    assert set(confined(code, internet=True).words) <= {"ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL", "gaierror"}
    own = "print([line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]])"
    assert "eth" not in confined(own, internet=True).out


async def test_with_egress_named_hosts_are_reached_by_the_proxy_alone(
    confined: Confined, egress: Egress, sockets: Path
) -> None:
    async with serving() as server:
        host = f"127.0.0.1:{server.port}"
        way_out = await egress.serve(sockets / EGRESS_SOCKET, [f"http://{host}"], "a/task")
        code = f"""
            import socket
            def ask(text):
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect("/run/budflow/{EGRESS_SOCKET}")
                    s.sendall(text.encode())
                    return s.recv(1000).split()[1].decode()
            print(ask("GET http://{host}/ HTTP/1.1\\r\\n\\r\\n"))
            print(ask("GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\\r\\n\\r\\n"))
            print(ask("CONNECT 127.0.0.1:22 HTTP/1.1\\r\\n\\r\\n"))
            print(ask("CONNECT localhost:{server.port} HTTP/1.1\\r\\n\\r\\n"))
        """
        came = await asyncio.to_thread(confined, code)
        await way_out.close()

    assert came.words == ["404", "403", "403", "403"], "The server has no such page; only it was asked."
    assert len(server.asked) == 1


def test_a_fork_bomb_stops_at_the_limit(confined: Confined) -> None:
    code = """
        import errno, os, time
        count = 0
        try:
            while True:
                if os.fork() == 0:
                    time.sleep(100)
                count += 1
        except OSError as error:
            print(count, errno.errorcode[error.errno], flush=True)
        os._exit(0)
    """
    came = confined(code, limits=Limits(processes=32))

    assert came.words == ["31", "EAGAIN"]


def test_a_thread_bomb_stops_at_the_limit(confined: Confined) -> None:
    code = """
        import os, threading, time
        count = 0
        try:
            while True:
                threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
                count += 1
        except RuntimeError as error:
            print(count, str(error), flush=True)
        os._exit(0)
    """
    came = confined(code, limits=Limits(processes=32))

    assert came.out.startswith("31 can't start new thread")


@pytest.mark.parametrize(
    "code",
    [
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "import mmap\nkept = []\nwhile True: kept.append(mmap.mmap(-1, 1 << 22)); kept[-1].write(bytes(1 << 22))",
        "import os\nwhile os.fork() >= 0: x = bytearray(20 << 20)",
    ],
    ids=["a list", "mappings", "many processes"],
)
def test_too_much_memory_ends_the_container_or_the_process(confined: Confined, code: str) -> None:
    came = confined(code, memory_mb=64, limits=Limits(processes=16))

    assert came.state["OOMKilled"]


@pytest.mark.parametrize(("path", "mebibytes"), [("/tmp", 4), ("/dev/shm", 2)])
def test_temporary_files_are_limited(confined: Confined, path: str, mebibytes: int) -> None:
    code = f"""{TRY}
import resource
written = 0
def fill():
    global written
    for number in range(1000):
        with open(f"{path}/{{number}}", "wb", buffering=0) as file:
            for _ in range(16):
                written += file.write(bytes(1 << 16))
print(attempt(fill), written >> 20)
"""
    limits = Limits(tmp_bytes=4 << 20, shm_bytes=2 << 20)

    assert confined(code, limits=limits).words == ["ENOSPC", str(mebibytes)]


def test_a_file_is_no_larger_than_the_temporary_directory(confined: Confined) -> None:
    code = f"{TRY}\nprint(attempt(lambda: os.truncate(os.open('/tmp/x', os.O_CREAT | os.O_RDWR), 1 << 40)))"

    assert confined(code).words == ["EFBIG"]


def test_a_million_empty_files_do_not_fit(confined: Confined) -> None:
    code = f"{TRY}\nprint(attempt(lambda: [open(f'/tmp/{{n}}', 'w').close() for n in range(1_000_000)]))"

    assert confined(code).words == ["ENOSPC"]


def test_too_many_open_files_are_refused(confined: Confined) -> None:
    code = f"{TRY}\nprint(attempt(lambda: [os.dup(0) for _ in range(100_000)]))"

    assert confined(code, limits=Limits(open_files=64)).words == ["EMFILE"]


def test_programs_in_temporary_files_do_not_run(confined: Confined) -> None:
    code = f"""{TRY}
import shutil, subprocess, sys
for place in ("/tmp", "/dev/shm"):
    shutil.copy(os.path.realpath(sys.executable), place + "/program")
    os.chmod(place + "/program", 0o6755)
    print(attempt(lambda: subprocess.run([place + "/program", "-c", ""])))
"""
    assert confined(code, limits=Limits(shm_bytes=64 << 20)).words == ["EACCES", "EACCES"]


def test_its_first_process_cannot_be_ended_or_looked_into_from_inside(confined: Confined) -> None:
    code = f"""{TRY}
import ctypes, signal
ctypes.CDLL(None).prctl(4, 0)  # As the worker does: PR_SET_DUMPABLE.
if os.fork() == 0:
    for number in range(1, 65):
        attempt(lambda: os.kill(1, number) if number not in (2,) else None)
    for file in ("mem", "environ", "maps", "fd/0", "cwd", "root"):
        path = "/proc/1/" + file
        link = file in ("fd/0", "cwd", "root")
        print(attempt(lambda: os.readlink(path) if link else open(path, "rb").read(1)), flush=True)
    os._exit(0)
os.wait()
print("alive")
"""
    *looks, alive = confined(code).words

    assert alive == "alive"
    assert set(looks) == {"EACCES"}


def test_it_cannot_use_more_processor_than_it_has(confined: Confined) -> None:
    code = """
        import time
        begun, used = time.monotonic(), time.process_time()
        while time.process_time() - used < 0.2: pass
        print((time.monotonic() - begun) / 0.2)
    """
    assert float(confined(code, limits=Limits(cpus=0.25)).out) > 2
