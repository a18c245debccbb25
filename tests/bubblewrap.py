"""Bubblewrap for tests of the process runner: Debian's package of that name, installed where a test runs as root."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

INSTALL_SECONDS = 180


def needs_bubblewrap() -> None:
    """Install it where that can be done; skip the test where it cannot."""
    if shutil.which("bwrap"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("The process runner needs bubblewrap (on Debian it is a package of that name).")
    # Two pytest sessions may come here at once, and another test's apt-get may be at work.
    with FileLock(Path(tempfile.gettempdir()) / "budflow-install-bubblewrap.lock"):
        for arguments in (("install",), ("update",), ("install",)):  # The lists of packages may be missing, or old.
            if not shutil.which("bwrap"):
                names = ("--no-install-recommends", "bubblewrap") if arguments == ("install",) else ()
                done = subprocess.run(
                    ["apt-get", "-o", f"DPkg::Lock::Timeout={INSTALL_SECONDS}", "--yes", "--quiet", *arguments, *names],
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                    capture_output=True,
                    text=True,
                    timeout=2 * INSTALL_SECONDS,
                )
    if not shutil.which("bwrap"):
        pytest.skip(f"bubblewrap could not be installed: {done.stderr[-1000:]}")
