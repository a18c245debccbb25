"""Writes the reference part of the docs from the code: `python docs/generate.py`, with `--check` only compares.

Each subject is one file in docs/generator with a function `pages()`; adding a subject is adding a file.
"""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))  # The checkout's packages, also where another BudFlow is installed.

import generator  # noqa: E402 - needs the path above
from generator import stand_ins  # noqa: E402 - needs the path above
from generator.markdown import MARK  # noqa: E402 - needs the path above


def generated() -> dict[Path, str]:
    """Every generated page by its path."""
    stand_ins.install()
    found: dict[Path, str] = {}
    for module in pkgutil.iter_modules(generator.__path__):
        subject = importlib.import_module(f"{generator.__name__}.{module.name}")
        if hasattr(subject, "pages"):
            found.update({DOCS / page.path: page.text for page in subject.pages()})
    return found


def left_over(wanted: Mapping[Path, str]) -> list[Path]:
    """Pages that were generated once and that nothing generates any more."""
    return [path for path in sorted(DOCS.rglob("*.md")) if path not in wanted and path.read_text().startswith(MARK)]


def stale(wanted: Mapping[Path, str]) -> list[Path]:
    """Pages that differ from what the code says, or are missing."""
    return [path for path, text in sorted(wanted.items()) if not path.is_file() or path.read_text() != text]


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` list what is stale; returns the exit code."""
    wanted = generated()
    changed, obsolete = stale(wanted), left_over(wanted)
    if "--check" in arguments:
        for path in (*changed, *obsolete):
            print(f"stale: {path.relative_to(DOCS.parent)}", file=sys.stderr)
        if changed or obsolete:
            print("Run `make docs`.", file=sys.stderr)
        return 1 if changed or obsolete else 0
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    for path in obsolete:
        path.unlink()
    print(f"{len(wanted)} pages, {len(changed)} written, {len(obsolete)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
