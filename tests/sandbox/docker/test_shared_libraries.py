"""Finding what a program needs, with the loader of the machine that runs the tests."""

import sys
from pathlib import Path

import pytest

from budflow.sandbox.docker.shared_libraries import libraries_of

PROGRAM = Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def test_a_program_needs_its_loader_and_the_c_library() -> None:
    found = libraries_of(PROGRAM, [])

    assert found.loader.is_file()
    assert found.files["libc.so.6"].parent == found.directory
    assert {"libm.so.6", "libpthread.so.0"} <= set(found.files), "Wheels may expect all parts of the C library."
    assert list(found.files) == sorted(found.files)


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")

    with pytest.raises(ValueError, match="no 64-bit little-endian ELF program"):
        libraries_of(script, [])


def test_a_program_without_a_loader_is_refused(tmp_path: Path) -> None:
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    program = tmp_path / "static"
    program.write_bytes(header)

    with pytest.raises(ValueError, match="linked statically"):
        libraries_of(program, [])
