"""Attempts on the network: a sandbox without `network` has none, not even by the ways that are no network."""

from tests.security.attempt import Attempt, refused

ATTEMPTS = (
    refused(
        "makes sockets of the internet",
        *(
            f"socket.socket(socket.{family}, socket.{kind})"
            for family in ("AF_INET", "AF_INET6")
            for kind in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_SEQPACKET")
        ),
    ),
    refused(
        "makes sockets of every other family",
        *(
            f"socket.socket({family}, socket.{kind}).family"
            for family in range(2, 47)
            for kind in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW")
        ),
    ),
    refused(
        "speaks to the kernel by netlink",
        *(f"socket.socket(16, socket.SOCK_RAW, {protocol})" for protocol in (0, 6, 9, 12, 15, 16)),
    ),
    refused(
        "makes packets itself",
        "socket.socket(17, socket.SOCK_RAW, 768)",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)",
    ),
    refused(
        "reaches the virtual machine's host by vsock",
        "socket.socket(40, socket.SOCK_STREAM).connect((2, 1024))",
        "socket.socket(40, socket.SOCK_DGRAM)",
    ),
    refused(
        "makes pairs of other sockets",
        *(f"socket.socketpair({family}, socket.SOCK_STREAM)" for family in (2, 10, 16, 30, 40)),
    ),
    refused("uses the kernel's ciphers", "socket.socket(38, socket.SOCK_SEQPACKET)"),
    refused(
        "reaches a port of the host",
        "socket.create_connection(('127.0.0.1', params['canary_port']), 1)",
        "socket.create_connection(('localhost', params['canary_port']), 1)",
        "__import__('urllib.request').request.urlopen(f'http://127.0.0.1:{params[\"canary_port\"]}/', timeout=1)",
    ),
    refused(
        "reaches the metadata service",
        *(
            f"socket.create_connection(('{host}', 80), 1)"
            for host in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "metadata.google.internal")
        ),
    ),
    refused("resolves names", "socket.getaddrinfo('example.com', 80)", "socket.gethostbyname('localhost.example.com')"),
    refused(
        "reaches the world",
        "socket.create_connection(('1.1.1.1', 443), 1)",
        "socket.create_connection(('8.8.8.8', 53), 1)",
    ),
    refused("listens for others", "socket.create_server(('127.0.0.1', 0))", "socket.create_server(('0.0.0.0', 8080))"),
    refused(
        "reaches an abstract socket of the host",
        "socket.socket(socket.AF_UNIX).connect('\\0' + params['canary_abstract'])",
        "socket.socket(socket.AF_UNIX).connect('\\0/org/freedesktop/systemd1/notify')",
        "socket.socket(socket.AF_UNIX).connect('\\0/containerd-shim/x.sock')",
    ),
    refused(
        "reaches a socket of the host by its path",
        "socket.socket(socket.AF_UNIX).connect(params['canary_socket'])",
        "socket.socket(socket.AF_UNIX).connect('/proc/1/root' + params['canary_socket'])",
    ),
    refused(
        "reaches daemons of the host",
        *(
            f"socket.socket(socket.AF_UNIX).connect('{path}')"
            for path in (
                "/var/run/docker.sock",
                "/run/docker.sock",
                "/run/containerd/containerd.sock",
                "/run/podman/podman.sock",
                "/run/crio/crio.sock",
                "/run/dbus/system_bus_socket",
                "/run/systemd/private",
                "/run/systemd/journal/socket",
                "/dev/log",
                "/run/snapd.socket",
                "/tmp/.X11-unix/X0",
                "/run/budflow/sandboxd.sock",
                "/run/budflow/api.sock",
                "/run/budflow/egress.sock",
            )
        ),
    ),
    Attempt(
        "comes to the broker again, as a worker of its own",
        """
        def hello(path):
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(2)
                link.connect(path)
                link.sendall(b"GET / HTTP/1.1\\r\\nHost: broker\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n")
                hello = {"type": "hello", "protocol": 1, "ticket": "e30.e30", "language": "python"}
                text = json.dumps({**hello, "version": "3", "budflow": "0"}).encode()
                link.sendall(b"\\x81\\xfe" + struct.pack(">H", len(text)) + bytes(4) + text)
                answer = b""
                while data := link.recv(4096):
                    answer += data
                return answer if b"welcome" in answer else 1 / 0
        return tried(lambda: hello("/run/budflow/broker.sock"))
        """,
    ),
    Attempt(
        "finds interfaces and routes",
        """
        names = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
        routes = open("/proc/net/route").readlines()[1:]
        return {"escaped": bool(set(names) - {"lo"} or routes), "names": names, "routes": routes}
        """,
    ),
    Attempt(
        "finds the sockets of others",
        """
        found = []
        for name in ("unix", "tcp", "tcp6", "udp", "raw", "netlink", "packet"):
            try:
                text = open(f"/proc/net/{name}").read()
            except OSError:
                continue
            canaries = (params["canary_abstract"], params["canary_socket"], f":{params['canary_port']:04X}")
            if any(canary in text for canary in canaries):
                found.append(name)
        return {"escaped": bool(found), "found": found}
        """,
    ),
    refused(
        "imports what the server is made of",
        *(
            f"__import__('{name}')"
            for name in (
                "budflow.settings",
                "budflow.model",
                "budflow.sandbox.access",
                "budflow.storage",
                "ray",
                "pydantic",
                "sqlalchemy",
                "docker",
                "cryptography",
                "asyncpg",
                "redis",
                "boto3",
                "mcp",
                "pip",
                "uv",
            )
        ),
    ),
    Attempt(
        "looks for secrets in the environment",
        """
        told = dict(os.environ)
        for name in ("self", str(os.getpid()), str(os.getppid())):
            try:
                told[name] = open(f"/proc/{name}/environ").read()
            except OSError:
                pass
        libc.getenv.restype = ctypes.c_char_p
        told["kept"] = str(libc.getenv(b"BUDFLOW_TICKET"))
        words = ("RAY_", "TOKEN", "SECRET", "KEY", "AWS", "BUDFLOW_TICKET=ey", "/root", "/home/", "/work", "pyenv")
        found = [word for word in words if any(word in name + value for name, value in told.items())]
        return {"escaped": bool(found) or "kind" in told["kept"], "found": found}
        """,
    ),
    Attempt(
        "looks for its ticket in all the memory that it may read",
        """
        import base64
        start = base64.urlsafe_b64encode(b'{"kind":"' + b"worker")[:18]
        hidden, found = bytes(255 - one for one in start), []
        del start
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for line in maps.read().splitlines():
                place, modes = line.split()[:2]
                low, high = (int(one, 16) for one in place.split("-"))
                if modes[0] != "r" or "[v" in line or high - low > 1 << 28:
                    continue
                try:
                    memory.seek(low)
                    block = memory.read(high - low)
                except (OSError, ValueError, OverflowError):
                    continue
                at = block.find(bytes(255 - one for one in hidden) + b"")
                # A whole ticket goes on in the same alphabet up to its dot; what this code made itself does not.
                after = block[at + 18 : at + 60].replace(b"-", b"").replace(b"_", b"")
                if at >= 0 and b"." in block[at : at + 400] and after.isalnum():
                    found.append(line)
        return {"escaped": bool(found), "found": found}
        """,
    ),
    Attempt(
        "looks for processes of others",
        """
        told = {}
        for pid in processes():
            try:
                told[pid] = open(f"/proc/{pid}/cmdline").read()
            except OSError:
                pass
        words = ("canary", "dockerd", "pytest", "ticket")
        foreign = [line for line in told.values() if any(word in line for word in words)]
        return {"escaped": bool(foreign) or len(told) > 8, "told": list(told.values())}
        """,
    ),
    refused("signals a process of the host", "os.kill(params['canary_pid'], 9)", "os.pidfd_open(params['canary_pid'])"),
)
