"""Attempts to use up what there is: memory, files, the processor, the log and the result."""

from tests.security.attempt import KILLED, MALFORMED, NO_MEMORY, NONE, TIMED_OUT, TOO_MANY, Attempt

_FULL = NO_MEMORY | KILLED
_CALM = """
    free = os.statvfs("/tmp").f_bavail * os.statvfs("/tmp").f_frsize
    left = os.listdir("/tmp") + os.listdir("/dev/shm")
    open("/tmp/mine", "wb").write(bytes(1 << 20))
    return {"escaped": bool(left), "left": left, "free": free}
"""


def _memory(name: str, code: str, memory_mb: int = 128) -> Attempt:
    return Attempt(name, code, ends=_FULL, must_end=True, memory_mb=memory_mb, then="return {'escaped': False}")


ATTEMPTS = (
    _memory("fills a list", "kept = []\nwhile True: kept.append(list(range(1000)))"),
    _memory("makes a large text", "return {'escaped': len('a' * 10**10) < 0}"),
    _memory("makes large bytes", "kept = []\nwhile True: kept.append(bytearray(10_000_000))"),
    _memory("makes many small objects", "kept = {}\nwhile True: kept[len(kept)] = object()"),
    _memory(
        "maps memory",
        "kept = []\nwhile True:\n    kept.append(mmap.mmap(-1, 1 << 24))\n    kept[-1].write(b'x' * (1 << 24))",
    ),
    _memory("maps memory that forks share", "m = mmap.mmap(-1, 1 << 30)\nwhile True: m.write(b'x' * (1 << 20))"),
    _memory(
        "takes memory of C",
        """
        libc.malloc.restype = ctypes.c_void_p
        while True: ctypes.memset(libc.malloc(ctypes.c_size_t(1 << 22)) or 0, 1, 1 << 22)
        """,
    ),
    _memory(
        "unpacks a bomb",
        """
        import zlib
        packer = zlib.compressobj(1)
        bomb = b''.join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
        return {'escaped': len(zlib.decompress(bomb)) < 0}
        """,
    ),
    _memory("reads a bomb of JSON", "return {'escaped': len(json.loads('[' + '[],' * 30_000_000 + '[]]')) < 0}"),
    _memory(
        "parses a bomb of XML",
        """
        import xml.dom.minidom as m
        lines = ''.join(f'<!ENTITY x{n} "{f"&x{n-1};" * 10}">' for n in range(1, 10))
        m.parseString(f'<!DOCTYPE a [<!ENTITY x0 "lol">{lines}]><a>&x9;</a>')
        return {'escaped': False}
        """,
    ),
    _memory("multiplies lists", "kept = [0]\nwhile True: kept = kept * 2"),
    _memory(
        "turns an integer into text",
        "sys.set_int_max_str_digits(0)\nkept = [1 << 10**9 for _ in range(10)]\nreturn {'escaped': not kept}",
    ),
    _memory(
        "makes all permutations", "return {'escaped': not list(__import__('itertools').product(range(100), repeat=8))}"
    ),
    Attempt(
        "takes memory in many processes",
        """
        for _ in range(20):
            if os.fork() == 0:
                kept = bytearray(40_000_000)
                for at in range(0, len(kept), 4096):
                    kept[at] = 1
                time.sleep(60)
        os.wait()
        return {"escaped": False}
        """,
        ends=_FULL | TIMED_OUT | TOO_MANY,
        seconds=2,
        then=_CALM,
    ),
    Attempt(
        "fills /tmp",
        """
        def fill():
            with open("/tmp/full", "wb", 0) as file:
                for _ in range(4096):
                    file.write(b"x" * (1 << 20))
        return tried(fill)
        """,
        ends=_FULL,
        memory_mb=256,
        then=_CALM,
    ),
    Attempt(
        "fills /dev/shm",
        """
        def fill():
            with open("/dev/shm/full", "wb", 0) as file:
                for _ in range(4096):
                    file.write(b"x" * (1 << 20))
        return tried(fill)
        """,
        ends=_FULL,
        then=_CALM,
    ),
    Attempt(
        "fills memory by files that have no name",
        """
        def fill():
            kept = []
            for _ in range(200):
                kept.append(os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o600))
                os.write(kept[-1], b"x" * (1 << 22))
        return tried(fill)
        """,
        ends=_FULL,
        memory_mb=256,
        then=_CALM,
    ),
    Attempt(
        "makes files without end",
        """
        def fill():
            for number in range(10**7):
                os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))
        return tried(fill)
        """,
        ends=_FULL | TIMED_OUT,
        seconds=1,
        then=_CALM,
    ),
    Attempt(
        "makes directories without end, one in the other",
        """
        os.chdir("/tmp")
        for _ in range(3000):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        return {"escaped": False}
        """,
        ends=_FULL | TIMED_OUT,
        seconds=2,
        then=_CALM,
    ),
    Attempt(
        "makes a file larger than any disk",
        "return tried(lambda: os.truncate(os.open('/tmp/large', os.O_CREAT | os.O_RDWR), 1 << 60))",
        ends=KILLED,
        then=_CALM,
    ),
    Attempt(
        "allocates a file larger than any disk",
        "return tried(lambda: os.posix_fallocate(os.open('/tmp/large', os.O_CREAT | os.O_RDWR), 0, 1 << 40))",
        ends=KILLED,
        then=_CALM,
    ),
    Attempt(
        "opens files without end",
        "def fill():\n    kept = []\n    while True: kept.append(open('/dev/null'))\nreturn tried(fill)\n",
        ends=KILLED,
    ),
    Attempt(
        "fills sockets and pipes that nobody reads",
        """
        def fill():
            kept = []
            while True:
                for one in socket.socketpair():
                    one.setblocking(False)
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
                    kept.append(one)
                    try:
                        while True:
                            one.send(b"x" * 60000)
                    except BlockingIOError:
                        pass
        return tried(fill)
        """,
        ends=_FULL,
    ),
    Attempt(
        "sends files in sockets in sockets",
        """
        def fill():
            for _ in range(10000):
                left, right = socket.socketpair()
                while True:
                    try:
                        left.setblocking(False)
                        socket.send_fds(left, [b"x"], [left.fileno(), right.fileno()] * 50)
                    except BlockingIOError:
                        break
        return tried(fill) if not fill() else None
        """,
        ends=_FULL | TOO_MANY,
        seconds=2,
    ),
    Attempt("prints without end", "while True: print('x' * 1000)", ends=TIMED_OUT, must_end=True, seconds=0.5),
    Attempt(
        "prints one line without end",
        "while True: print('x' * 100000, end='')",
        ends=TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt("prints a large line", "print('x' * 10_000_000)\nreturn {'escaped': False}", ends=_FULL),
    Attempt(
        "prints what is no text",
        """
        print('\\udcff\\x00\\x1b[2J\\ud800')
        sys.stdout.write('\\x00' * 100)
        os.write(1, b'\\xff' * 1000)
        os.write(2, b'\\xff' * 1000)
        return {'escaped': False}
        """,
    ),
    Attempt(
        "logs large fields without end",
        "for _ in range(100_000): log.info('x' * 60_000, field='y' * 100_000)\nreturn {'escaped': False}",
        ends=TIMED_OUT | KILLED,
        seconds=1,
    ),
    Attempt(
        "tells of progress without end",
        "while True: progress(0.5, 'x' * 1000)",
        ends=TIMED_OUT | KILLED,
        must_end=True,
        seconds=0.5,
    ),
    Attempt(
        "raises an error with a large message",
        "raise ValueError('x' * 30_000_000)",
        ends=KILLED | NO_MEMORY,
        must_end=True,
    ),
    Attempt(
        "raises an error whose text never comes",
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
        ends=KILLED | TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt(
        "raises an error whose text raises",
        "class E(BaseException):\n    def __str__(self): raise self\n    __repr__ = __str__\nraise E",
        ends=KILLED,
        must_end=True,
    ),
    Attempt(
        "raises an error whose type lies",
        "class M(type):\n    __name__ = property(lambda s: 1 / 0)\nclass E(Exception, metaclass=M): pass\nraise E",
        ends=KILLED,
        must_end=True,
    ),
    Attempt(
        "raises an error with a long chain",
        """
        error = None
        for n in range(100_000):
            fresh = ValueError(n)
            fresh.__context__ = fresh.__cause__ = error
            error = fresh
        raise error
        """,
        ends=KILLED,
        must_end=True,
    ),
    Attempt(
        "raises a group of groups",
        "group = ValueError()\nfor _ in range(500): group = ExceptionGroup('g', [group, group])\nraise group",
        ends=KILLED | NO_MEMORY | TIMED_OUT,
        must_end=True,
        seconds=1,
    ),
    Attempt(
        "gives back too much",
        "return [{'escaped': False, 'x': 'y' * 1_000_000} for _ in range(90)]",
        ends=MALFORMED | _FULL,
        must_end=True,
        memory_mb=256,
    ),
    Attempt(
        "gives back one item that is too large",
        "return {'escaped': False, 'x': 'y' * 8_000_000}",
        ends=MALFORMED,
        must_end=True,
    ),
    Attempt(
        "gives back items without end",
        "def items():\n    while True: yield {'escaped': False}\nreturn items()",
        ends=MALFORMED | TIMED_OUT | NO_MEMORY,
        must_end=True,
        seconds=1,
    ),
    Attempt(
        "gives back what holds itself", "d = {'escaped': False}\nd['d'] = d\nreturn d", ends=MALFORMED, must_end=True
    ),
    Attempt(
        "gives back what is too deep",
        "d = {}\nfor _ in range(100_000): d = {'d': d}\nreturn d",
        ends=MALFORMED | KILLED,
        must_end=True,
    ),
    *(
        Attempt(f"gives back {name}", f"return {value}", ends=MALFORMED, must_end=True)
        for name, value in (
            ("what is no number", "{'x': float('nan')}"),
            ("infinity", "{'x': 1e999}"),
            ("bytes", "{'x': b'x'}"),
            ("keys that are no text", "{1: 2}"),
            ("an object", "object()"),
            ("a module", "[sys]"),
            ("half of a character", "{'x': '\\ud800'}"),
            ("a huge integer", "{'x': 10 ** 4000}"),
            ("a text", "'{\"escaped\": false}'"),
        )
    ),
    Attempt(
        "gives back dicts that lie",
        """
        class Lying(dict):
            def items(self): return [("x", open)]
            def keys(self): return ["x"]
            def __iter__(self): return iter(["x"])
            def __getitem__(self, key): return open
            def __len__(self): return 10 ** 9
        class Text(str):
            def encode(self, *a): return b'"},{"escaped": true},{"x":"'
            def __str__(self): return self.encode().decode()
        return [Lying(escaped=False), {"escaped": False, Text("x"): Text("y")}]
        """,
        ends=MALFORMED | KILLED,
    ),
    Attempt(
        "gives back a dict that grows while it is read",
        "class D(dict):\n    def items(self):\n        while True: yield 'x', 1\nreturn D(escaped=False)",
        ends=MALFORMED | TIMED_OUT | NO_MEMORY | NONE,
        seconds=0.5,
    ),
)
