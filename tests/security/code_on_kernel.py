"""Attempts on the kernel: system calls by which others got out of their sandboxes."""

from tests.security.attempt import Attempt, refused

_NAMESPACES = (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x80)

ATTEMPTS = (
    refused(
        "mounts",
        "call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
        "call('mount', b'/', b'/tmp', 0, 4096, 0)",
        "call('mount', b'proc', b'/tmp', b'proc', 0, 0)",
    ),
    refused(
        "unmounts", "call('umount2', b'/proc', 2)", "call('umount2', b'/usr', 2)", "call('umount2', b'/run/budflow', 2)"
    ),
    refused(
        "mounts by the newer calls",
        "call('fsopen', b'tmpfs', 0)",
        "call('open_tree', -100, b'/', 1)",
        "call('move_mount', -100, b'/', -100, b'/tmp', 0)",
        "call('mount_setattr', -100, b'/', 0x8000, bytes(32), 32)",
        "call('fspick', -100, b'/', 0)",
    ),
    refused("moves its root", "os.chroot('/tmp')", "call('pivot_root', b'/tmp', b'/tmp')"),
    refused("makes namespaces", *(f"call('unshare', {flag})" for flag in _NAMESPACES)),
    refused(
        "enters namespaces",
        *(
            f"call('setns', os.open('/proc/self/ns/{name}', os.O_RDONLY), 0)"
            for name in ("mnt", "net", "pid", "user", "ipc", "uts", "cgroup")
        ),
    ),
    refused(
        "enters the first process's namespaces",
        "os.open('/proc/1/ns/user', os.O_RDONLY)",
        "call('setns', os.pidfd_open(1), 0x10000000)",
    ),
    Attempt(
        "clones itself into namespaces",
        """
        def cloned(*arguments):
            pid = call(*arguments)
            if pid == 0:
                os._exit(0)
            return pid
        flags = (0x20000, 0x02000000, 0x10000000, 0x10020000, 0x40000000, 0x7E020000)
        given = struct.pack("=11Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
        return tried(
            *(lambda f=f: cloned("clone", f | signal.SIGCHLD, 0, 0, 0, 0) for f in flags),
            lambda: cloned("clone3", given, len(given)),
        )
        """,
    ),
    refused(
        "traces other processes",
        "call('ptrace', 16, 1, 0, 0)",
        "call('ptrace', 0x4206, 1, 0, 0)",
        "call('ptrace', 0, 0, 0, 0)",
        *(f"call('ptrace', 16, {pid}, 0, 0)" for pid in (2, 3)),
    ),
    Attempt(
        "reads and writes the memory of other processes",
        """
        space = ctypes.create_string_buffer(64)
        local = struct.pack("=QQ", ctypes.addressof(space), 64)
        def one(name, pid):
            return lambda: call(name, pid, local, 1, local, 1, 0)
        return tried(*(one(name, pid) for name in ("process_vm_readv", "process_vm_writev") for pid in others()))
        """,
    ),
    Attempt(
        "reads the memory of other processes by their files",
        """
        def one(pid, name, mode):
            return lambda: open(f"/proc/{pid}/{name}", mode).read(1)
        names = ("mem", "maps", "smaps", "environ", "auxv", "syscall", "stack", "pagemap")
        return tried(*(one(pid, name, "rb") for pid in others() for name in names))
        """,
    ),
    Attempt(
        "takes files out of other processes",
        """
        pairs = [(pid, file) for pid in others() for file in range(12)]
        return tried(*(lambda p=p, f=f: call("pidfd_getfd", os.pidfd_open(p), f, 0) for p, f in pairs))
        """,
    ),
    refused(
        "compares and advises other processes",
        "call('kcmp', 1, os.getpid(), 0, 0, 0)",
        "call('process_madvise', os.pidfd_open(1), 0, 0, 4, 0)",
        "call('process_mrelease', os.pidfd_open(1), 0)",
    ),
    refused(
        "uses io_uring",
        "call('io_uring_setup', 8, ctypes.create_string_buffer(256))",
        "call('io_uring_enter', 3, 1, 0, 0, 0, 0)",
        "call('io_uring_register', 3, 0, 0, 0)",
    ),
    refused("uses the older asynchronous input", "call('io_setup', 8, ctypes.byref(ctypes.c_ulong()))"),
    refused("loads BPF", *(f"call('bpf', {command}, bytes(128), 128)" for command in (0, 5, 18))),
    refused(
        "handles page faults",
        "call('userfaultfd', 0)",
        "call('userfaultfd', 1)",
        "os.open('/dev/userfaultfd', os.O_RDWR)",
    ),
    refused(
        "counts performance events",
        "call('perf_event_open', struct.pack('=II', 1, 128) + bytes(120), 0, -1, -1, 0)",
        "call('perf_event_open', struct.pack('=II', 0, 128) + bytes(120), 1, -1, -1, 0)",
    ),
    refused(
        "uses key rings",
        "call('keyctl', 0, -3, 1)",
        "call('keyctl', 1, b'x')",
        "call('add_key', b'user', b'x', b'y', 1, -3)",
        "call('request_key', b'user', b'x', 0, -3)",
    ),
    refused("runs a program from memory only", "call('memfd_create', b'x', 1)", "call('memfd_secret', 0)"),
    refused(
        "loads kernel modules",
        "call('init_module', b'x', 1, b'')",
        "call('finit_module', 0, b'', 0)",
        "call('delete_module', b'vsock', 0)",
        "call('create_module', b'x', 1)",
    ),
    refused("boots another kernel", "call('kexec_load', 0, 0, 0, 0)", "call('kexec_file_load', 0, 0, 0, b'', 0)"),
    refused(
        "halts the machine",
        "call('reboot', 0xfee1dead, 672274793, 0x4321fedc, 0)",
        "call('reboot', 0xfee1dead, 672274793, 0x89abcdef, 0)",
    ),
    refused("swaps", "call('swapon', b'/tmp/x', 0)", "call('swapoff', b'/dev/vda')"),
    refused(
        "sets the clock",
        "time.clock_settime(time.CLOCK_REALTIME, 0)",
        "call('settimeofday', bytes(16), 0)",
        "call('adjtimex', b'\\x01' + bytes(255))",
        "call('clock_adjtime', 0, b'\\x01' + bytes(255))",
    ),
    refused("renames the machine", "socket.sethostname('x')", "call('setdomainname', b'x', 1)"),
    refused("accounts for processes", "call('acct', b'/tmp/x')", "call('lookup_dcookie', 1, b' ' * 64, 64)"),
    refused(
        "reaches the ports of the hardware",
        "call('iopl', 3)",
        "call('ioperm', 0x70, 1, 1)",
        "call('modify_ldt', 1, bytes(16), 16)",
    ),
    refused(
        "takes another personality",
        "call('personality', 0x0040000)",
        "call('personality', 0x0008)",
        "call('personality', 0x0400000)",
    ),
    refused(
        "moves memory between nodes",
        "call('mbind', 0, 4096, 0, 0, 0, 0)",
        "call('migrate_pages', 1, 0, 0, 0)",
        "call('move_pages', 1, 0, 0, 0, 0, 0)",
        "call('set_mempolicy', 0, 0, 0)",
    ),
    refused(
        "uses other old calls",
        "call('vhangup')",
        "call('ustat', 1, b' ' * 64)",
        "call('sysfs', 3)",
        "call('_sysctl', 0)",
        "call('uselib', b'/x')",
        "call('nfsservctl', 0, 0, 0)",
        "call('remap_file_pages', 0, 0, 0, 0, 0)",
    ),
    refused(
        "shares memory of System V",
        "call('shmget', 0, 4096, 0o1666)",
        "call('shmget', 4711, 4096, 0o1666)",
        "call('semget', 0, 1, 0o1666)",
        "call('msgget', 0, 0o1666)",
        "call('msgctl', 0, 3, b' ' * 512)",
    ),
    refused(
        "makes message queues", "call('mq_open', b'x', os.O_CREAT | os.O_RDWR, 0o600, 0)", "call('mq_unlink', b'x')"
    ),
    refused(
        "filters others' calls",
        "call('seccomp', 1, 8, struct.pack('=HxxxxxxQ', 1, 0))",
        "call('seccomp', 2, 0, struct.pack('=I', 0x7fff0000))",
    ),
    refused(
        "gives itself privileges",
        "os.setuid(0)",
        "os.setgid(0)",
        "os.setresuid(0, 0, 0)",
        "os.setgroups([0])",
        "os.seteuid(0)",
        "call('capset', struct.pack('=II', 0x20080522, 0), struct.pack('=6I', *[0xffffffff] * 6))",
    ),
    Attempt(
        "allows itself new privileges",
        """
        def prctl(*arguments):
            if libc.prctl(*arguments, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
        status = {line.split(":")[0]: line.split(":")[1].strip() for line in open("/proc/self/status")}
        wrong = [name for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(status[name], 16)]
        wrong += [name for name, value in (("NoNewPrivs", "1"), ("Seccomp", "2")) if status[name] != value]
        options = ((38, 0, 0), (47, 2, 21), (28, 1, 0), (22, 0, 0))
        came = tried(*(lambda o=o: prctl(*o) for o in options))
        return {**came, "escaped": came["escaped"] or bool(wrong), "wrong": wrong}
        """,
    ),
    refused(
        "raises its limits",
        "__import__('resource').setrlimit(4, (1 << 20, 1 << 20))",
        "__import__('resource').setrlimit(7, (100000, 100000))",
        "call('prlimit64', 0, 7, struct.pack('=QQ', 100000, 100000), 0)",
    ),
    refused(
        "changes the limits of others",
        *(f"call('prlimit64', {pid}, {limit}, struct.pack('=QQ', 0, 0), 0)" for pid in (1, 2) for limit in (1, 6, 7)),
    ),
    refused(
        "takes the processor for itself",
        "os.nice(-20)",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))",
        "os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))",
        "call('sched_setattr', 0, struct.pack('=IIQiIQQQ', 48, 6, 0, 0, 0, 10**7, 10**8, 10**8), 0)",
    ),
    refused(
        "types into a terminal",
        *(f"__import__('fcntl').ioctl({fd}, 0x5412, b'x')" for fd in (0, 1, 2)),
        "__import__('fcntl').ioctl(0, 0x541C, b'\\x02')",
        "__import__('fcntl').ioctl(0, 0x540E, 0)",
    ),
    refused(
        "asks devices for more",
        "__import__('fcntl').ioctl(os.open('/usr', 0), 0x40086602, bytes(8))",
        "__import__('fcntl').ioctl(os.open('/dev/null', 0), 0xC0045877, b'x')",
        "__import__('fcntl').ioctl(os.open('/usr', 0), 0x4C82, 0)",
    ),
    Attempt(
        "calls the kernel as a 32-bit program",
        """
        import platform
        if platform.machine() != "x86_64":
            return {"escaped": False}
        code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20 (getpid); int 0x80; ret
        space = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        space.write(code)
        got = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(space)))()
        return {"escaped": got > 0, "got": got}
        """,
        ends=frozenset({"code.failed", "sandbox.worker_lost"}),
    ),
    Attempt(
        "calls the kernel by the x32 table",
        """
        import platform
        if platform.machine() != "x86_64":
            return {"escaped": False}
        return tried(lambda: libc.syscall(ctypes.c_long(0x40000000 + 39)) > 0 or 1 / 0)
        """,
        ends=frozenset({"code.failed", "sandbox.worker_lost"}),
    ),
)
