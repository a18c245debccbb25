"""Attempts on processes: bombs, signals, and whatever wants to outlive its task."""

from tests.security.attempt import KILLED, NO_MEMORY, TIMED_OUT, TOO_MANY, Attempt

#: What a bomb may come to: which limit it meets first depends on what it makes.
_STOPPED = TOO_MANY | TIMED_OUT | KILLED | NO_MEMORY
_NOTHING_LEFT = """
    left = [pid for pid in others() if pid not in (1, os.getppid())]
    return {"escaped": bool(left or os.path.exists("/tmp/alive")), "left": left}
"""

ATTEMPTS = (
    Attempt(
        "forks without end", "while True:\n    os.fork()\n", ends=_STOPPED, must_end=True, seconds=1, then=_NOTHING_LEFT
    ),
    Attempt(
        "forks without end and ignores that it cannot",
        """
        for number in range(1, 65):
            if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                os.fork()
            except BaseException:
                pass
        """,
        ends=_STOPPED,
        must_end=True,
        seconds=1,
        then=_NOTHING_LEFT,
    ),
    Attempt(
        "starts threads without end",
        """
        while True:
            threading.Thread(target=time.sleep, args=(100,)).start()
        """,
        ends=_STOPPED,
        must_end=True,
        seconds=1,
    ),
    Attempt(
        "starts programs without end",
        """
        start = "[subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[1]]) for _ in range(9)]"
        code = "import subprocess, sys; " + start
        while True:
            subprocess.Popen([sys.executable, "-I", "-S", "-c", code, code])
        """,
        ends=_STOPPED,
        must_end=True,
        seconds=1,
        then=_NOTHING_LEFT,
    ),
    Attempt(
        "leaves zombies without end",
        """
        try:
            for _ in range(10000):
                if os.fork() == 0:
                    os._exit(0)
        except BlockingIOError:
            return {"escaped": False}
        return {"escaped": True}
        """,
        ends=TOO_MANY,
        then=_NOTHING_LEFT,
    ),
    Attempt(
        "leaves a daemon behind",
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                os.closerange(0, 64)
                while True:
                    open("/tmp/alive", "w").close()
                    time.sleep(0.001)
            os._exit(0)
        os.wait()
        return {"escaped": False}
        """,
        then=_NOTHING_LEFT,
    ),
    Attempt(
        "leaves daemons behind that start each other anew",
        """
        def live():
            while True:
                if os.fork():
                    os._exit(0)
                os.setsid()
                open("/tmp/alive", "w").close()
        if os.fork() == 0:
            live()
        return {"escaped": False}
        """,
        then=_NOTHING_LEFT,
        ends=_STOPPED,
    ),
    Attempt(
        "leaves a stopped process behind",
        """
        pid = os.fork()
        if pid == 0:
            while True:
                os.kill(os.getpid(), signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        return {"escaped": False}
        """,
        then=_NOTHING_LEFT,
    ),
    Attempt(
        "leaves a thread behind that never ends",
        """
        def live():
            while True:
                pass
        threading.Thread(target=live).start()
        return {"escaped": False}
        """,
        ends=TIMED_OUT,
        seconds=1,
        then=_NOTHING_LEFT,
    ),
    Attempt(
        "leaves a program behind",
        """
        subprocess.Popen([sys.executable, "-c", "while True: open('/tmp/alive', 'w').close()"], start_new_session=True)
        time.sleep(0.05)
        return {"escaped": False}
        """,
        then=_NOTHING_LEFT,
    ),
    Attempt("comes back from a fork", "os.fork()\nreturn {'escaped': False}\n", then=_NOTHING_LEFT, ends=KILLED),
    Attempt(
        "kills the first process",
        """
        os.kill(1, signal.SIGKILL)
        os.kill(1, signal.SIGTERM)
        os.kill(1, signal.SIGSEGV)
        return {'escaped': False}
        """,
        ends=KILLED,
    ),
    Attempt("kills everything", "os.kill(-1, signal.SIGKILL)\nreturn {'escaped': False}\n", ends=KILLED),
    Attempt(
        "kills each process that it sees",
        """
        for number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGKILL):
            for pid in others():
                try:
                    os.kill(pid, number)
                except OSError:
                    pass
        return {"escaped": False}
        """,
        ends=KILLED,
    ),
    Attempt(
        "stops each process that it sees",
        """
        for pid in others():
            os.kill(pid, signal.SIGSTOP)
        return {"escaped": False}
        """,
        ends=KILLED | TIMED_OUT,
        seconds=1,
        then=_NOTHING_LEFT,
    ),
    Attempt(
        "stops its parent and goes on",
        "os.kill(os.getppid(), signal.SIGSTOP)\nwhile True: pass\n",
        ends=KILLED | TIMED_OUT,
        must_end=True,
        seconds=1,
    ),
    Attempt(
        "stops itself",
        "os.kill(os.getpid(), signal.SIGSTOP)\nreturn {'escaped': False}\n",
        ends=TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt(
        "signals its parent without end",
        """
        for _ in range(3000):
            for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGALRM, signal.SIGWINCH, signal.SIGCONT):
                try:
                    os.kill(os.getppid(), number)
                except OSError:
                    pass
        return {"escaped": False}
        """,
        ends=KILLED,
    ),
    Attempt(
        "makes its parent slow",
        """
        for pid in others():
            try:
                os.setpriority(os.PRIO_PROCESS, pid, 19)
                os.sched_setaffinity(pid, {0})
            except OSError:
                pass
        return {"escaped": False}
        """,
    ),
    Attempt("kills itself", "os.kill(os.getpid(), signal.SIGKILL)", ends=KILLED | NO_MEMORY, must_end=True),
    Attempt("ends without a word", "os._exit(0)", ends=KILLED, must_end=True),
    Attempt("ends itself", "sys.exit(0)", ends=KILLED, must_end=True),
    Attempt("aborts", "os.abort()", ends=KILLED, must_end=True),
    Attempt(
        "becomes another program",
        "os.execv(sys.executable, [sys.executable, '-c', 'while True: pass'])",
        ends=KILLED | TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt("follows a null pointer", "ctypes.string_at(0)", ends=KILLED, must_end=True),
    Attempt(
        "writes over its own memory",
        "ctypes.memset(id(None), 255, 4096)\nctypes.memset(id(int), 0, 4096)\nreturn {'escaped': False}",
        ends=KILLED | NO_MEMORY,
    ),
    Attempt(
        "overflows the stack of C",
        "sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        ends=KILLED | NO_MEMORY | TIMED_OUT,
        must_end=True,
    ),
    Attempt(
        "overflows the stack of C by a comparison",
        """
        sys.setrecursionlimit(10**9)
        one, other = [], []
        for _ in range(10**6):
            one, other = [one], [other]
        return {"escaped": one == other and False}
        """,
        ends=KILLED | NO_MEMORY | TIMED_OUT,
    ),
    Attempt("recurses", "def f(): f()\nf()", ends=KILLED, must_end=True),
    Attempt("overflows the parser", "return tried(lambda: json.loads(eval('(' * 100000)))", ends=KILLED | NO_MEMORY),
    Attempt("overflows the compiler", "eval('-' * 1000000 + '1')\n", ends=KILLED | NO_MEMORY, must_end=True),
    Attempt(
        "frees an object twice",
        """
        class A: pass
        a = A()
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(a))
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(a))
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(a))
        del a
        gc.collect()
        return {'escaped': False}
        """,
        ends=KILLED,
    ),
    Attempt(
        "loops whatever is raised",
        """
        for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGXCPU):
            signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        ends=TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt("sleeps", "time.sleep(1000)", ends=TIMED_OUT, must_end=True, seconds=0.5),
    Attempt(
        "waits for itself",
        "lock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        ends=TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt(
        "loops when it is done",
        "import atexit\natexit.register(lambda: [None for _ in iter(int, 1)])\nreturn {'escaped': False}\n",
        ends=TIMED_OUT,
        seconds=0.5,
    ),
    Attempt(
        "loops when it is collected",
        "class A:\n    def __del__(self):\n        while True: pass\na = A()\nreturn {'escaped': False}\n",
        ends=TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt(
        "loops in regular expressions",
        "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
        ends=TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
    Attempt(
        "loops in the power of integers",
        "return {'escaped': (9 ** 9 ** 8) % 10 < 0}",
        ends=TIMED_OUT | NO_MEMORY,
        must_end=True,
        seconds=0.5,
    ),
    Attempt("loops in a sum", "return {'escaped': sum(range(10**12)) < 0}", ends=TIMED_OUT, must_end=True, seconds=0.5),
    Attempt(
        "loops in a search",
        "return {'escaped': -1 in range(10**12) or 10**13 in __import__('itertools').count()}",
        ends=TIMED_OUT,
        must_end=True,
        seconds=0.5,
    ),
)
