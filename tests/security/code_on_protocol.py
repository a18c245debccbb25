"""Attempts on the worker itself: to speak in its place, to change it, and to leave something to the next task."""

from tests.security.attempt import KILLED, MALFORMED, NO_MEMORY, TIMED_OUT, Attempt

_ANY = KILLED | MALFORMED | TIMED_OUT | NO_MEMORY
_FORGED = """
    def say(kind, body):
        os.write(3, kind + (body if isinstance(body, bytes) else json.dumps(body).encode()))
"""


def _forged(name: str, code: str, then: str | None = None) -> Attempt:
    lines = "".join(f"    {line}\n" for line in code.strip().splitlines())
    return Attempt(name, f"{_FORGED}{lines}    return {{'escaped': False}}\n", ends=_ANY, seconds=1, then=then)


ATTEMPTS = (
    Attempt(
        "writes to every open file",
        """
        for descriptor in range(3, 256):
            forged = b'{"type":"result","task_id":"t1","items":[{"json":{"escaped":true}}],"last":true}'
            for junk in (b"", b"{}", b"\\x00" * 100, forged):
                try:
                    os.write(descriptor, junk)
                except OSError:
                    pass
        return {"escaped": False}
        """,
        ends=_ANY,
        seconds=1,
    ),
    _forged("says that it is done before it is", "say(b'Z', [])\nfor _ in range(10): say(b'Z', [])"),
    _forged("says what is no JSON", "say(b'R', b'{{{')"),
    _forged(
        "says what is JSON and nothing else",
        "say(b'R', 7)\nsay(b'L', [])\nsay(b'P', {})\nsay(b'N', None)\nsay(b'X', 'x')\nsay(b'F', [{}])",
    ),
    _forged("says what nobody knows", "for kind in range(256): say(bytes([kind]), b'x')"),
    _forged(
        "forges an error of the sandbox",
        "say(b'E', {'code': 'sandbox.unavailable', 'message': 'x' * 100000, 'line': -1, 'item': 'x', 'traceback': 5})",
    ),
    _forged(
        "forges items with fields of the protocol's",
        "say(b'R', [{'json': {'escaped': False}, 'source': 10**12, 'type': 'hello'}])",
    ),
    _forged("asks for items that there are not", "say(b'N', [0, 2**40])\nsay(b'N', [-5, -1])\nsay(b'N', [0, 10])"),
    _forged("sends fragments without end", "while True: say(b'+', b'x' * 131072)"),
    _forged("sends deep JSON", "say(b'R', b'[' * 100000)\nsay(b'E', b'{\"a\":' * 20000)"),
    _forged(
        "sends numbers that are none",
        "say(b'R', b'[[{\"x\": NaN}, 0]]')\nsay(b'R', b'[[{\"x\": 1e999}, 0]]')\nsay(b'X', b'1' + b'0' * 100000)",
    ),
    _forged(
        "sends files to the worker",
        "link = socket.socket(fileno=3)\nfor _ in range(400): socket.send_fds(link, [b'L'], [0] * 250)",
    ),
    _forged("shuts its link down and goes on", "socket.socket(fileno=3).shutdown(socket.SHUT_RDWR)\ntime.sleep(30)"),
    _forged("closes every file", "os.closerange(0, 256)"),
    _forged(
        "puts other files in the place of its own",
        "a, b = socket.socketpair()\nos.dup2(a.fileno(), 3)\nos.dup2(b.fileno(), 1)",
    ),
    _forged(
        "hands its link to a process that outlives it",
        "if os.fork() == 0:\n    os.setsid()\n    while True:\n        say(b'R', [])\n        time.sleep(0.001)",
        then="return {'escaped': False}",
    ),
    Attempt(
        "unpickles what runs code",
        """
        import pickle
        bomb = b"cposix\\nsystem\\n(S'echo > " + params["canary_directory"].encode() + b"/made'\\ntR."
        return {"escaped": pickle.loads(bomb) == 0}
        """,
    ),
    Attempt(
        "finds the worker's objects by their frames",
        """
        frame, words = sys._getframe(), []
        while frame:
            words += [repr(value) for value in frame.f_locals.values() if isinstance(value, (str, bytes))]
            frame = frame.f_back
        words += [one for one in gc.get_objects() if isinstance(one, str)]
        ticket = "eyJraW5kIjoi" + "d29ya2Vy"
        found = [word for word in words if ticket in word and len(word) > 40]
        return {"escaped": bool(found), "found": found}
        """,
    ),
    Attempt(
        "changes modules for the next task",
        """
        import builtins, random, datetime
        json.dumps = json.loads = lambda *a, **k: '{"escaped": true}'
        os.getpid = time.time = random.random = lambda: 7
        builtins.print = builtins.len = builtins.sum = lambda *a: 7
        sys.modules["os"] = sys.modules["json"] = None
        sys.path[:] = ["/tmp"]
        sys.meta_path.clear()
        sys.settrace(lambda *a: None), sys.setprofile(lambda *a: None)
        os._exit(1)
        """,
        ends=KILLED,
        then="""
        import builtins, random, statistics
        wrong = [sum([1, 2]) != 3, len("abc") != 3, os.getpid() == 7, random.random() == 7]
        wrong += [json.dumps(1) != "1", sys.path == ["/tmp"]]
        return {"escaped": any(wrong), "wrong": wrong}
        """,
    ),
    Attempt(
        "leaves an environment to the next task",
        """
        for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "LEFT"):
            os.environ[name] = "/tmp/evil.so"
            libc.setenv(name.encode(), b"/tmp/evil.so", 1)
        os.chdir("/dev/shm"), os.umask(0o777)
        return {"escaped": False}
        """,
        then="""
        libc.getenv.restype = ctypes.c_char_p
        names = ("LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "LEFT")
        wrong = [name for name in names if name in os.environ or libc.getenv(name.encode())]
        return {"escaped": bool(wrong) or os.getcwd() == "/dev/shm" or os.umask(0) == 0o777, "wrong": wrong}
        """,
    ),
    Attempt(
        "leaves limits to the next task",
        """
        import resource
        for name in ("NOFILE", "NPROC", "FSIZE", "AS"):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (1, 1))
        os._exit(1)
        """,
        ends=KILLED | NO_MEMORY,
        then="""
        open('/tmp/mine', 'w').write('x' * 1000)
        threading.Thread(target=print).start()
        return {'escaped': False}
        """,
    ),
    Attempt(
        "leaves files that are hard to remove",
        """
        os.makedirs("/tmp/a/b/c"), os.makedirs("/tmp/-rf"), os.makedirs(b"/tmp/\\xff\\n\\x01")
        os.symlink("/", "/tmp/a/root"), os.symlink("/run/budflow", "/tmp/sockets"), os.symlink("loop", "/tmp/loop")
        os.mkfifo("/tmp/a/fifo") if False else None
        open("/tmp/.hidden", "w").close(), open("/tmp/a/b/c/" + "n" * 255, "w").close()
        socket.socket(socket.AF_UNIX).bind("/tmp/a/socket")
        for directory in ("/tmp/a/b/c", "/tmp/a/b", "/tmp/a"):
            os.chmod(directory, 0)
        return {"escaped": False}
        """,
        then="return {'escaped': bool(os.listdir('/tmp') + os.listdir('/dev/shm')), 'left': os.listdir('/tmp')}",
    ),
    Attempt(
        "leaves modules that the next task imports",
        """
        for directory in ("/tmp", "/dev/shm", os.getcwd(), "/tmp/.local/lib/python3.11/site-packages"):
            os.makedirs(directory, exist_ok=True)
            for name in ("json", "random", "sitecustomize", "usercustomize", "secrets"):
                with open(f"{directory}/{name}.py", "w") as file:
                    file.write("raise SystemExit(7)")
        return {"escaped": False}
        """,
        then="""
        import json, random, secrets, statistics
        return {'escaped': 'tmp' in json.__file__ or os.path.exists('/tmp/json.py')}
        """,
    ),
    Attempt(
        "leaves a socket that the next task may find",
        """
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\\0left")
        listener.listen()
        os.set_inheritable(listener.fileno(), True)
        if os.fork() == 0:
            os.setsid()
            time.sleep(100)
        return {"escaped": False}
        """,
        ends=KILLED,
        then="return tried(lambda: socket.socket(socket.AF_UNIX).connect('\\0left'))",
    ),
    Attempt(
        "leaves secrets in memory that the next task reads",
        """
        kept = "left-" + "in-memory-" * 1000
        open("/dev/shm/kept", "w").write(kept)
        return {"escaped": False}
        """,
        then="""
        word = b"-".join((b"left", b"in", b"memory", b"in"))
        blocks = []
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for line in maps.read().splitlines():
                low, high = (int(one, 16) for one in line.split()[0].split("-"))
                if "[heap]" in line or line.split()[4] == "0":
                    try:
                        memory.seek(low)
                        blocks.append(memory.read(high - low).count(word + b"-memory-in-memory-in"))
                    except (OSError, OverflowError, ValueError):
                        pass
        return {"escaped": any(blocks), "blocks": len(blocks)}
        """,
    ),
)
