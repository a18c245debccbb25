"""The system calls that code in a container may make: an allow-list, and everything else is refused with EPERM.

Written for Python, threads, subprocesses, asyncio and the usual compiled packages (seccomp(2), syscalls(2)). What is
missing is missing on purpose: io_uring, ptrace and reading of other processes' memory, key rings, BPF, userfaultfd,
performance events, namespaces, mounts, kernel modules, personalities, quotas, System V IPC and message queues.
"""

from typing import Any

_ALLOW = "SCMP_ACT_ALLOW"
_REFUSE = "SCMP_ACT_ERRNO"
_ENOSYS = 38
_EQUAL = "SCMP_CMP_EQ"
_MASKED_EQUAL = "SCMP_CMP_MASKED_EQ"

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_TYPE_MASK, _SOCK_STREAM = 0xF, 1
_IPPROTO_ANY, _IPPROTO_TCP = 0, 6
#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (linux/sched.h).
_NAMESPACES = 0x7E020000
#: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what the standard library asks of files. Not TIOCSTI,
#: nor what network interfaces, loop devices or file systems know.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)

_FILES = """
    access chdir chmod close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
    fchdir fchmod fchmodat fchmodat2 fcntl fdatasync fgetxattr flistxattr flock fstat fstatfs fsync ftruncate futimesat
    getcwd getdents getdents64 getxattr lgetxattr link linkat listxattr llistxattr lseek lstat mkdir mkdirat newfstatat
    open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat
    readv rename renameat renameat2 rmdir sendfile stat statfs statx symlink symlinkat sync_file_range truncate umask
    unlink unlinkat utime utimensat utimes write writev
"""
_MEMORY = "brk madvise membarrier mincore mmap mprotect mremap msync munmap"
_PROCESSES = """
    arch_prctl capget execve execveat exit exit_group fork getcpu getegid geteuid getgid getgroups getpgid getpgrp
    getpid getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid kill pidfd_open
    pidfd_send_signal prctl restart_syscall rseq sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_yield set_robust_list
    set_tid_address setpgid setpriority setrlimit setsid sysinfo tgkill time times tkill uname vfork wait4 waitid
"""
_SIGNALS = """
    alarm getitimer pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait setitimer
    sigaltstack signalfd signalfd4
"""
_WAITING = """
    clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait
    eventfd eventfd2 futex futex_waitv get_robust_list gettimeofday nanosleep poll ppoll pselect6 select timer_create
    timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
_SOCKETS = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg
    sendto setsockopt shutdown
"""
_RANDOM = "getrandom"


def profile(*, internet: bool) -> dict[str, Any]:
    """The profile as Docker reads it. With `internet` TCP sockets may be made, in whatever network the container has.

    Only the machine's own calls: a program of another architecture's (32-bit) is killed by its first one.
    """
    names = " ".join((_FILES, _MEMORY, _PROCESSES, _SIGNALS, _WAITING, _SOCKETS, _RANDOM)).split()
    rules: list[dict[str, Any]] = [
        {"names": sorted(names), "action": _ALLOW},
        _when("clone", (0, _MASKED_EQUAL, _NAMESPACES, 0)),
        # Its flags are in memory, where no filter can look; the C library then falls back on clone.
        {"names": ["clone3"], "action": _REFUSE, "errnoRet": _ENOSYS},
        _when("socket", (0, _EQUAL, _AF_UNIX, 0)),
        _when("socketpair", (0, _EQUAL, _AF_UNIX, 0)),
        # The limits of another process, such as the worker's, are not to be changed.
        _when("prlimit64", (0, _EQUAL, 0, 0)),
        *(_when("ioctl", (1, _EQUAL, command, 0)) for command in _IOCTLS),
    ]
    if internet:
        rules += [
            _when(
                "socket",
                (0, _EQUAL, family, 0),
                (1, _MASKED_EQUAL, _SOCK_TYPE_MASK, _SOCK_STREAM),
                (2, _EQUAL, protocol, 0),
            )
            for family in (_AF_INET, _AF_INET6)
            for protocol in (_IPPROTO_ANY, _IPPROTO_TCP)
        ]
    return {
        "defaultAction": _REFUSE,
        "archMap": [
            {"architecture": name, "subArchitectures": []} for name in ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
        ],
        "syscalls": rules,
    }


def _when(name: str, *conditions: tuple[int, str, int, int]) -> dict[str, Any]:
    """Allow a call whose arguments, by their index, all compare like this."""
    return {
        "names": [name],
        "action": _ALLOW,
        "args": [
            {"index": index, "op": operator, "value": value, "valueTwo": second}
            for index, operator, value, second in conditions
        ],
    }
