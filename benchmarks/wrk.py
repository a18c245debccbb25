"""wrk, the HTTP load generator, and what it prints as figures."""

import asyncio
import os
import re
import shutil
import subprocess
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from tempfile import NamedTemporaryFile

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """Requests a second, and latencies in seconds."""

    per_second: float
    p50: float
    p99: float
    errors: int


async def wrk(url: str, script: str, *, connections: int = 10, seconds: int = 10) -> Load:
    """Load `url` with the requests that the Lua `script` makes."""
    with NamedTemporaryFile("w", suffix=".lua") as file:  # A file, since wrk reads the script once a thread.
        file.write(script)
        file.flush()
        options = ("-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", file.name)
        process = await asyncio.create_subprocess_exec(ensure_wrk(), *options, url, stdout=PIPE)
        out, _ = await process.communicate()
    text = out.decode()
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", text))
    errors += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", text)
    return Load(float(rate), _latency(text, "50%"), _latency(text, "99%"), errors)


def ensure_wrk() -> str:
    """The path of wrk; installed from Debian's packages where that is allowed."""
    found = shutil.which("wrk")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True, stdout=subprocess.DEVNULL)
        found = shutil.which("wrk")
    if found is None:
        raise SystemExit("This benchmark needs wrk: install the package `wrk`.")
    return found


def _latency(text: str, share: str) -> float:
    [(value, unit)] = re.findall(rf"\s{share}\s+([\d.]+)(us|ms|s)", text)
    return float(value) * _UNITS[unit]
