"""Attempts on the file system: to read what is the host's, and to write anything that outlives the task."""

from tests.security.attempt import Attempt, refused

ATTEMPTS = (
    refused("reads a file of the host by its path", "read(params['canary_file'])"),
    refused("reads a file of the host through the first process", "read('/proc/1/root' + params['canary_file'])"),
    refused("reads a file of the host from above the root", "read('/tmp/' + '../' * 30 + params['canary_file'][1:])"),
    refused("reads the passwords", "read('/etc/shadow')", "read('/etc/gshadow')", "read('/etc/sudoers')"),
    refused("reads keys at home", "read('/root' + '/.ssh/id_rsa')", "os.listdir('/root')", "os.listdir('/home')[0]"),
    refused("reads the token of Kubernetes", "read('/var/run/secrets/kubernetes.io/serviceaccount/token')"),
    refused("reads the data directory", "os.listdir(params['canary_directory'])", "os.listdir('/root' + '/.budflow')"),
    refused("reads the kernel's memory", "read('/proc/kcore')", "read('/dev/mem')", "read('/dev/kmem')"),
    refused("reads the kernel's log", "read('/proc/kmsg')", "read('/dev/kmsg')", "call('syslog', 3, b' ' * 64, 64)"),
    refused("reads the first process's environment", "read('/proc/1/environ')"),
    refused(
        "reads the first process's memory", "read('/proc/1/mem')", "open('/proc/1/mem', 'r+b')", "read('/proc/1/maps')"
    ),
    refused(
        "lists the first process's files",
        "os.listdir('/proc/1/fd')",
        "os.readlink('/proc/1/exe')",
        "os.listdir('/proc/1/map_files')",
    ),
    refused("changes how cores are dumped", "write('/proc/sys/kernel/core_pattern', b'|/tmp/x')"),
    refused(
        "changes the kernel's settings",
        *(
            f"write('/proc/sys/{name}', b'1')"
            for name in (
                "kernel/hostname",
                "kernel/modprobe",
                "vm/drop_caches",
                "vm/overcommit_memory",
                "kernel/randomize_va_space",
                "net/ipv4/ip_forward",
                "fs/file-max",
            )
        ),
    ),
    refused("registers a binary format", "write('/proc/sys/fs/binfmt_misc/register', b':x:M::x::/tmp/x:')"),
    refused("asks the kernel to crash", "write('/proc/sysrq-trigger', b'c')"),
    refused(
        "overwrites the interpreter that runs it", "write('/proc/self/exe')", "write(os.path.realpath(sys.executable))"
    ),
    refused("becomes unkillable", "write('/proc/self/oom_score_adj', b'-1000')", "write('/proc/self/oom_adj', b'-17')"),
    refused("makes the first process the one to be killed", "write('/proc/1/oom_score_adj', b'1000')"),
    refused(
        "maps users",
        "write('/proc/self/uid_map', b'0 0 1')",
        "write('/proc/self/gid_map', b'0 0 1')",
        "write('/proc/1/uid_map', b'0 0 1')",
    ),
    refused("writes to the root directory", "make('/')", "os.mkdir('/made')", "os.symlink('/tmp', '/made')"),
    refused(
        "writes to the system's directories",
        *(
            f"make('{name}')"
            for name in (
                "/etc",
                "/usr",
                "/usr/bin",
                "/usr/lib",
                "/usr/local/lib",
                "/lib",
                "/opt",
                "/var",
                "/var/tmp",
                "/run",
                "/dev",
                "/proc",
                "/sys",
                "/home",
                "/root",
            )
        ),
    ),
    refused("writes to the directory of sockets", "make('/run/budflow')", "os.mkdir('/run/budflow/made')"),
    refused(
        "puts a socket of its own in the broker's place",
        "os.unlink('/run/budflow/broker.sock')",
        "os.rename('/run/budflow', '/run/other')",
        "socket.socket(socket.AF_UNIX).bind('/run/budflow/broker.sock')",
        "socket.socket(socket.AF_UNIX).bind('/run/budflow/egress.sock')",
    ),
    Attempt(
        "changes the worker's own program",
        """
        roots = [path for path in sys.path if path]
        names = ("budflow/sandbox/worker/child.py", "os.py", "new.py")
        files = [f"{root}/{name}" for root in roots for name in names]
        return tried(*(lambda f=f: os.open(f, os.O_WRONLY | os.O_CREAT) for f in files))
        """,
    ),
    Attempt(
        "changes the C library",
        """
        lines = [line.split()[-1] for line in open("/proc/self/maps") if ".so" in line]
        return tried(*(lambda f=f: os.open(f, os.O_WRONLY) for f in sorted(set(lines))))
        """,
    ),
    refused(
        "changes modes and owners",
        "os.chmod('/', 0o777)",
        "os.chmod('/usr', 0o777)",
        "os.chown('/tmp', 0, 0)",
        "os.chmod('/run/budflow', 0o777)",
    ),
    refused(
        "makes control groups",
        "os.mkdir('/sys/fs/cgroup/made')",
        "os.mkdir('/sys/fs/cgroup/memory/made')",
        "write('/sys/fs/cgroup/cgroup.procs', b'0')",
        "write('/sys/fs/cgroup/memory/memory.limit_in_bytes', b'-1')",
        "write('/sys/fs/cgroup/memory.max', b'max')",
        "write('/sys/fs/cgroup/pids/pids.max', b'max')",
        "write('/sys/fs/cgroup/memory/memory.oom_control', b'1')",
    ),
    refused(
        "sets the release agent",
        "write('/sys/fs/cgroup/memory/release_agent', b'/tmp/x')",
        "write('/sys/fs/cgroup/rdma/release_agent', b'/tmp/x')",
    ),
    refused(
        "makes device files",
        *(
            f"os.mknod('/tmp/{n}', stat.{kind} | 0o666, os.makedev({major}, {minor})) or read('/tmp/{n}')"
            for n, kind, major, minor in (
                ("a", "S_IFBLK", 254, 0),
                ("b", "S_IFBLK", 8, 0),
                ("c", "S_IFCHR", 1, 1),
                ("d", "S_IFCHR", 10, 232),
            )
        ),
    ),
    refused(
        "opens devices",
        *(
            f"os.open('/dev/{name}', os.O_RDONLY)"
            for name in (
                "vda",
                "sda",
                "nvme0n1",
                "dm-0",
                "loop0",
                "loop-control",
                "kvm",
                "fuse",
                "net/tun",
                "vsock",
                "vhost-vsock",
                "vhost-net",
                "rtc0",
                "uinput",
                "snapshot",
                "mapper/control",
                "dri/card0",
                "nvidia0",
                "hpet",
                "port",
            )
        ),
    ),
    refused(
        "opens a terminal",
        "os.open('/dev/tty', os.O_RDWR)",
        "os.open('/dev/console', os.O_RDWR)",
        "os.openpty() and os.open('/dev/tty1', os.O_RDWR)",
    ),
    Attempt(
        "follows a link that it made to the host",
        """
        os.symlink(params["canary_file"], "/tmp/link")
        os.symlink("/proc/1/root", "/tmp/root")
        return tried(
            lambda: read("/tmp/link"),
            lambda: read("/tmp/root" + params["canary_file"]),
            lambda: write("/tmp/link"),
        )
        """,
    ),
    Attempt(
        "makes hard links to what it may not write",
        """
        names = [os.path.realpath(sys.executable), os.__file__]
        return tried(*(lambda n=n: os.link(n, "/tmp/hard") for n in names))
        """,
    ),
    Attempt(
        "makes a program that runs as somebody else",
        """
        import shutil
        os.makedirs("/tmp/bin")
        shutil.copy(os.path.realpath(sys.executable), "/tmp/bin/python")
        os.chmod("/tmp/bin/python", 0o6777)
        def identities(program):
            code = "import os; print(*os.getresuid(), *os.getresgid())"
            home = {"PYTHONHOME": "/usr/local"}
            told = subprocess.run([program, "-c", code], capture_output=True, check=True, env=home)
            return {int(one) for one in told.stdout.split()}
        return tried(lambda: identities("/tmp/bin/python") - {os.getuid(), os.getgid()} or 1 / 0)
        """,
    ),
    Attempt(
        "looks for programs that run as somebody else",
        """
        found = []
        for top in ("/usr", "/bin", "/sbin", "/lib", "/opt", "/tmp"):
            for directory, _, names in os.walk(top):
                for name in names:
                    about = os.lstat(os.path.join(directory, name))
                    if stat.S_ISREG(about.st_mode) and about.st_mode & (stat.S_ISUID | stat.S_ISGID):
                        if not os.statvfs(directory).f_flag & os.ST_NOSUID:
                            found.append(os.path.join(directory, name))
        # In a container they are of the image, where no file of the kind is.
        return {"escaped": bool(found), "found": found}
        """,
    ),
    Attempt(
        "looks for sockets of others",
        """
        found = []
        for directory, names, files in os.walk("/"):
            names[:] = [name for name in names if os.path.join(directory, name) not in ("/proc", "/sys")]
            for name in files:
                path = os.path.join(directory, name)
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    found.append(path)
        return {"escaped": bool(set(found) - {"/run/budflow/broker.sock"}), "found": found}
        """,
    ),
    Attempt(
        "opens files by their handles",
        """
        handle = struct.pack("=IiII", 8, 1, 2, 0) + bytes(128)  # The root directory's, of ext4.
        return tried(
            lambda: call("open_by_handle_at", os.open("/usr", os.O_RDONLY), handle, os.O_RDONLY),
            lambda: call("name_to_handle_at", -100, b"/usr", handle, ctypes.byref(ctypes.c_int()), 0),
        )
        """,
    ),
    refused(
        "watches the host's files",
        "call('fanotify_init', 0, 0)",
        "call('fanotify_mark', 3, 1, 8, -100, b'/')",
        "call('inotify_init1', 0) if os.path.exists(params['canary_file']) else 1 / 0",
    ),
    refused(
        "changes quotas", "call('quotactl', 0x80000100, b'/dev/vda', 0, 0)", "call('quotactl_fd', 0, 0x80000100, 0, 0)"
    ),
    refused(
        "reads the machine's hardware",
        "read('/sys/firmware/acpi/tables/DSDT')",
        "read('/sys/class/dmi/id/product_serial')",
        "read('/proc/acpi/event')",
    ),
    refused(
        "reads timers and keys of everybody",
        "read('/proc/timer_list')",
        "read('/proc/sched_debug')",
        "read('/sys/kernel/debug/sched/debug')",
        "read('/proc/keys')[200]",
    ),
)
