"""`python -m benchmarks [CASE …]`: run the cases, print their figures and write docs/performance.md where all ran."""

import importlib
import os
import pkgutil
import platform
import subprocess
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import cases
from benchmarks.apart import measured
from benchmarks.figure import table

REPORT = Path(__file__).parents[1] / "docs" / "performance.md"


def main() -> None:
    """Run the named cases, or all."""
    every = [module.name for module in pkgutil.iter_modules(cases.__path__)]
    wanted = sys.argv[1:] or every
    sections: list[str] = []
    failed: list[str] = []
    for name in wanted:
        case = importlib.import_module(f"benchmarks.cases.{name}")
        print(f"\n## {case.TITLE}\n", flush=True)
        try:
            text = table(measured(name))
        except Exception:  # noqa: BLE001 - the worker's loop: the others' figures, half an hour of them, are to be seen
            traceback.print_exc()
            failed.append(name)
            continue
        print(text, flush=True)
        sections.append(f"## {case.TITLE}\n\n{(case.__doc__ or '').strip()}\n\n{text}\n")
    if failed:
        sys.exit(f"\nThese failed, so nothing is written: {', '.join(failed)}.")
    if wanted == every:
        REPORT.write_text(_report(sections), encoding="utf-8")
        print(f"\nWritten to {REPORT.relative_to(Path.cwd())}.")


def _report(sections: list[str]) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=REPORT.parent
    ).stdout.strip()
    head = (
        "# Performance\n\n"
        f"Made by `make bench` on {datetime.now(UTC):%Y-%m-%d} at {commit or 'no commit'}: {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}. Client and server share the machine. Of several "
        "rounds "
        "the median counts; the smallest and the largest stand in parentheses. Ratios are against a peer measured in "
        "the same run; absolute figures move with the machine.\n"
    )
    return head + "\n" + "\n".join(sections)


if __name__ == "__main__":
    main()
