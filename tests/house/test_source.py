"""How source files are to be: named for what they hold, of readable size, no silenced checks, no private paths."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("budflow", "mcp_server", "ray_jobs")
LINES_MAX = 400
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "base", "misc"}
TOP_LEVEL = {
    *PACKAGES,
    *(".ci", ".dockerignore", ".gitignore", "CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile", "README.md"),
    *("benchmarks", "configs", "docker-compose.ray.yml", "docs", "examples", "pyproject.toml", "tests"),
}

# In pieces, so that this file does not hold what it looks for.
_PATHS = ("/ro" + "ot/", "/wo" + "rk/", "pip" + r"\.conf")
PRIVATE = re.compile("|".join((*_PATHS, "(?<!emit-)(extra-)?index" + "[-_]url")), re.I)
FILE_WIDE = re.compile(r"#\s*(ruff|flake8):\s*noqa|#\s*mypy:|#\s*pylint:\s*(skip-file|disable)")
IGNORED_TYPE = re.compile(r"#\s*type:\s*ignore(?P<code>\[[\w, -]+\])?(?P<reason>.*)")
NOQA = re.compile(r"#\s*noqa(?P<code>:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*)?(?P<reason>.*)")

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked_files() -> list[Path]:
    """What Git tracks or would add."""
    # The files may belong to another user than the one who runs the tests.
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]
    command += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs the Git repository")
    return [ROOT / part for part in listed.stdout.split("\0") if part and (ROOT / part).is_file()]


def comments(path: Path, pattern: re.Pattern[str]) -> list[tuple[int, re.Match[str]]]:
    lines = enumerate(path.read_text().splitlines(), 1)
    return [(number, match) for number, line in lines if (match := pattern.search(line))]


def test_every_module_begins_with_a_sentence_about_itself() -> None:
    silent = [
        name(path)
        for path in SOURCES
        if (tree := ast.parse(path.read_text())).body and not (ast.get_docstring(tree) or "").strip()
    ]

    assert silent == []


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in SOURCES}

    assert {path: length for path, length in lengths.items() if length > LINES_MAX} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [name(path) for path in SOURCES if {path.stem, path.parent.name} & VAGUE_NAMES] == []


def test_no_check_is_silenced_for_a_whole_file() -> None:
    assert [name(path) for path in SOURCES + TESTS if comments(path, FILE_WIDE)] == []


@pytest.mark.parametrize("pattern", [IGNORED_TYPE, NOQA], ids=["type-ignore", "noqa"])
def test_a_silenced_check_names_its_code_and_the_reason(pattern: re.Pattern[str]) -> None:
    bare = [
        f"{name(path)}:{number}"
        for path in SOURCES
        for number, match in comments(path, pattern)
        if not match["code"] or not re.search(r"\w{2}", match["reason"])
    ]

    assert bare == []


def test_nothing_names_a_private_path_or_a_package_registry() -> None:
    naming = []
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        naming += [f"{name(path)}: {match[0]}" for match in PRIVATE.finditer(text)]

    assert naming == []


def test_the_top_level_holds_what_the_layout_names() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked_files()} <= TOP_LEVEL
