"""Runs inside of a container: makes system calls that code must not make, and prints what came of each, as JSON."""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import sys
from typing import Any

#: Numbers on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl), all of them called with zeros.
REFUSED = {
    "acct": 163,
    "add_key": 248,
    "adjtimex": 159,
    "bpf": 321,
    "capset": 126,
    "chroot": 161,
    "clock_adjtime": 305,
    "clock_settime": 227,
    "delete_module": 176,
    "fanotify_init": 300,
    "finit_module": 313,
    "fsconfig": 431,
    "fsmount": 432,
    "fsopen": 430,
    "fspick": 433,
    "init_module": 175,
    "inotify_init": 253,
    "io_setup": 206,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "io_uring_setup": 425,
    "ioperm": 173,
    "iopl": 172,
    "kcmp": 312,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "landlock_create_ruleset": 444,
    "mbind": 237,
    "memfd_create": 319,
    "memfd_secret": 447,
    "migrate_pages": 256,
    "mknod": 133,
    "mknodat": 259,
    "modify_ldt": 154,
    "mount": 165,
    "mount_setattr": 442,
    "move_mount": 429,
    "move_pages": 279,
    "mq_open": 240,
    "msgget": 68,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "open_tree": 428,
    "perf_event_open": 298,
    "personality": 135,
    "pidfd_getfd": 438,
    "pivot_root": 155,
    "process_madvise": 440,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "ptrace": 101,
    "quotactl": 179,
    "quotactl_fd": 443,
    "reboot": 169,
    "request_key": 249,
    "rt_sigqueueinfo": 129,
    "seccomp": 317,
    "semget": 64,
    "set_mempolicy": 238,
    "setdomainname": 171,
    "setgid": 106,
    "setgroups": 116,
    "sethostname": 170,
    "setns": 308,
    "setresuid": 117,
    "settimeofday": 164,
    "setuid": 105,
    "shmget": 29,
    "splice": 275,
    "swapoff": 168,
    "swapon": 167,
    "sysfs": 139,
    "syslog": 103,
    "tee": 276,
    "umount2": 166,
    "unshare": 272,
    "userfaultfd": 323,
    "ustat": 136,
    "vhangup": 153,
    "vmsplice": 278,
}
CLONE, CLONE3, IOCTL, PRLIMIT64 = 56, 435, 16, 302
NAMESPACES = {
    "user": 0x10000000,
    "mount": 0x20000,
    "network": 0x40000000,
    "process": 0x20000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
IOCTLS = {
    "TIOCSTI": 0x5412,
    "TIOCLINUX": 0x541C,
    "SIOCGIFCONF": 0x8912,
    "FICLONE": 0x40049409,
    "FS_IOC_SETFLAGS": 0x40086602,
}
PROTOCOLS = {"mptcp": 262, "sctp": 132, "smc": 256, "raw tcp": 6}
FAMILIES_MAX = 48

_libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *args: int) -> str:
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(value) for value in (*args, 0, 0, 0, 0, 0, 0)[:6]))
    return "allowed" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def sockets() -> list[str]:
    """Every family and type that a socket can be made of."""
    made = []
    for family in range(FAMILIES_MAX):
        for kind, name in (
            (socket.SOCK_STREAM, "stream"),
            (socket.SOCK_DGRAM, "dgram"),
            (socket.SOCK_RAW, "raw"),
            (5, "seq"),
        ):
            try:
                socket.socket(family, kind).close()
                made.append(f"{family} {name}")
            except OSError as error:
                if error.errno != errno.EPERM and not (family in (1, 2, 10) and name != "stream"):
                    made.append(f"{family} {name} {errno.errorcode[error.errno or 0]}")
    return made


def machine_code(code: bytes) -> str:
    """How a process ends that runs these instructions."""
    pid = os.fork()
    if pid == 0:
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"


def main() -> None:
    found: dict[str, Any] = {
        "calls": {name: call(number) for name, number in REFUSED.items()},
        "clone": {name: call(CLONE, flag | signal.SIGCHLD) for name, flag in NAMESPACES.items()},
        "clone3": call(CLONE3),
        "ioctl": {name: call(IOCTL, 1, command) for name, command in IOCTLS.items()},
        "prlimit of another": call(PRLIMIT64, 1, 7),
        "prlimit of itself": call(PRLIMIT64, 0, 7),
        "sockets": sockets(),
        "protocols": {},
        # getpid of 32-bit programs, by int 0x80; and of x32, by its bit in the number.
        "32-bit": machine_code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"),
        "x32": machine_code(b"\xb8\x27\x00\x00\x40\x0f\x05\xc3"),
    }
    for name, protocol in PROTOCOLS.items():
        try:
            socket.socket(socket.AF_INET, socket.SOCK_RAW if "raw" in name else socket.SOCK_STREAM, protocol).close()
            found["protocols"][name] = "allowed"
        except OSError as error:
            found["protocols"][name] = errno.errorcode[error.errno or 0]
    json.dump(found, sys.stdout)


main()
