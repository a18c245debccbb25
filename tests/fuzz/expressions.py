"""Fuzzing of the tokenizer, the compiler and the evaluator: `python -m tests.fuzz.expressions --runs 100000 --seed 1`.

Whatever bytes make of a text, it comes to plain data or to one of the two errors of expressions, in time, and no error
tells the secret. The report goes to build/fuzz.json; a text that fails, to a file beside it. Atheris is installed by
`make fuzz` only.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import atheris  # type: ignore[import-untyped]  # `make fuzz` installs it; it has no types

with atheris.instrument_imports(include=["budflow.expressions"]):
    from budflow.expressions.compile import compile_template
    from budflow.expressions.complete import Seen, complete
    from budflow.expressions.evaluate import ExpressionFailed
    from budflow.expressions.table import table
    from budflow.expressions.tokenize import ExpressionInvalid

from tests.security.expression_attempts import ESCAPES
from tests.security.expression_exhaustion import EXHAUSTION, SECRETS
from tests.security.place import SCOPE, SECRET, Secret

REPORT = Path("build/fuzz.json")
TEXT_CHARS_MAX = 4_000
#: Instrumented code is several times as slow, and the goal is 50 ms.
SECONDS_MAX = 1.0
AS_IT_IS = b"\x01"
REPORTED_EVERY = 5_000
SEEN = Seen([SCOPE], ("fetch",))
#: What texts are put together from, beside the fuzzer's own characters.
PARTS = (
    *("$json", "$json.name", "$json.rows", "$json.numbers", "$item.json", "$node.fetch", "$secrets.auth.token", "$now"),
    *("{{ ", " }}", "(", ")", "[", "]", "{", "}", ".", "?.", ", ", ": ", " + ", " ** ", " * ", " << ", " % ", " == "),
    *(
        " in ",
        " if ",
        " else ",
        " for x in ",
        "x",
        "f'{",
        "}'",
        "'a'",
        '"',
        "'",
        "\\",
        "#",
        "\n",
        "!r",
        ":>9",
        "_",
        "__",
    ),
    *(
        "1",
        "9 ** 9",
        "2 ** 60",
        "1.5",
        "None",
        "True",
        "lambda: ",
        "\u01c3",
        "\uff3f",
        "\x00",
        "range(99)",
        "not ",
        "-",
    ),
    *(f".{name}(" for name in sorted(table().method_names)),
    *(f"{name}(" for name in sorted(table().functions)),
)


@dataclass
class Report:
    """What was found so far."""

    seed: int
    runs: int
    began: float = field(default_factory=time.monotonic)
    done: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    slowest: str = ""
    failure: str | None = None

    def write(self) -> None:
        """To build/fuzz.json."""
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip()
        shape = {
            "target": "expressions",
            "commit": commit,
            "seed": self.seed,
            "runs": self.done,
            "seconds": round(time.monotonic() - self.began, 1),
            "outcomes": dict(self.outcomes),
            "slowest_ms": round(self.slowest_seconds * 1000, 1),
            "slowest": self.slowest,
            "failure": self.failure,
        }
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(json.dumps(shape, indent=2) + "\n")


def text_from(data: bytes) -> str:
    """A text from the fuzzer's bytes: those behind the first as they are, or as a choice among PARTS."""
    if data[:1] == AS_IT_IS:
        return data[1:].decode(errors="replace")
    provider = atheris.FuzzedDataProvider(data[1:])
    chosen: list[str] = []
    while provider.remaining_bytes() and len(chosen) < 200:
        at = provider.ConsumeIntInRange(0, len(PARTS) + 15)
        chosen.append(PARTS[at] if at < len(PARTS) else provider.ConsumeUnicode(3))
    return f"{{{{ {''.join(chosen)} }}}}"


def outcome_of(text: str) -> str:
    """What a text comes to, as a word; raises AssertionError, or whatever else came out of it."""
    try:
        value = compile_template(text).evaluate(SCOPE)
    except (ExpressionInvalid, ExpressionFailed) as error:
        assert SECRET not in f"{error.message} {error.hint} {error.details}", "an error tells the secret"
        return error.code
    if not isinstance(value, Secret):
        json.dumps(value, allow_nan=False)
    complete(text, len(text) // 2, SEEN)
    return "value"


def main() -> None:
    """Fuzz until the runs are done, or one fails."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=1)
    asked = arguments.parse_args()
    report = Report(asked.seed, asked.runs)

    def one(data: bytes) -> None:
        text = text_from(data)
        began = time.thread_time()
        try:
            outcome = outcome_of(text)
            seconds = time.thread_time() - began
            assert seconds < SECONDS_MAX, f"it took {seconds:.2f} s"
        except Exception as error:
            report.failure = f"{text!r}: {type(error).__name__}: {error}"
            report.write()
            raise
        report.done += 1
        report.outcomes[outcome] += 1
        if seconds > report.slowest_seconds:
            report.slowest_seconds, report.slowest = seconds, text[:500]
        if report.done % REPORTED_EVERY == 0 or report.done >= report.runs:
            report.write()

    with TemporaryDirectory(prefix="budflow-fuzz-") as folder:
        for number, attempt in enumerate((*ESCAPES, *SECRETS, *EXHAUSTION)):
            seed = AS_IT_IS + attempt.text[:TEXT_CHARS_MAX].encode(errors="surrogatepass")
            Path(folder, f"attempt-{number}").write_bytes(seed)
        options: list[Any] = [
            sys.argv[0],
            folder,
            f"-atheris_runs={asked.runs}",
            f"-seed={asked.seed}",
            f"-max_len={TEXT_CHARS_MAX}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            f"-artifact_prefix={REPORT.parent}/fuzz-",
        ]
        REPORT.parent.mkdir(exist_ok=True)
        atheris.Setup(options, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
