"""Which shared libraries programs need, and where this machine has them: asked from the system's own loader."""

import re
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LOADER_SECONDS_MAX = 20.0
#: What the policy for wheels (PEP 600) lets them expect of a machine beside the C library's own parts, and what the C
#: library loads by name to look up users and hosts.
EXPECTED = ("libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
#: Parts of the C library that Python itself may not need, and wheels may.
OF_THE_C_LIBRARY = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libm.so.6", "libc.so.6")

_LINE = re.compile(r"^\s*(?P<name>\S+) => (?P<path>/.*?) \(0x[0-9a-f]+\)$", re.MULTILINE)
_PROGRAM_INTERPRETER = 3


@dataclass(frozen=True, slots=True)
class SharedLibraries:
    """The loader, at the path where programs ask for it, and files by the names that they are asked for.

    All of them can stand in `directory`, where the loader looks by itself.
    """

    loader: Path
    directory: Path
    files: dict[str, Path]


def libraries_of(program: Path, modules: Iterable[Path]) -> SharedLibraries:
    """What a program and the modules that it may load need, and what wheels expect. Raises OSError, ValueError."""
    loader = Path(_interpreter(program))
    files: dict[str, Path] = {}
    for file in (program, *modules):
        asked = subprocess.run(  # noqa: S603 the loader that the program itself names, on files of this Python
            [str(loader), "--list", str(file)], capture_output=True, text=True, timeout=LOADER_SECONDS_MAX, check=False
        )
        for found in _LINE.finditer(asked.stdout):
            files.setdefault(found["name"], Path(found["path"]))
    if "libc.so.6" not in files:
        raise ValueError(f"{program} is not linked to the GNU C library, and no image can be made of it")
    directory = files["libc.so.6"].parent
    for name in (*EXPECTED, *OF_THE_C_LIBRARY):
        for place in (directory, Path("/usr") / directory.relative_to("/"), Path("/usr/lib64"), Path("/usr/lib")):
            if name not in files and (place / name).exists():
                files[name] = place / name
    return SharedLibraries(loader, directory, dict(sorted(files.items())))


def _interpreter(program: Path) -> str:
    """What the program's header names as its loader (System V ABI, ELF: the segment PT_INTERP)."""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02" or data[5] != 1:
        raise ValueError(f"{program} is no 64-bit little-endian ELF program")
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + index * size)
        if kind == _PROGRAM_INTERPRETER:
            return data[start : start + length].rstrip(b"\0").decode()
    raise ValueError(f"{program} is linked statically, and could not load the modules of wheels")
