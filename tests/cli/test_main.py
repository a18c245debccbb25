"""The command line as a whole: what it lists, what it loads, how it reports."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup

from budflow import __version__
from budflow.cli.main import command_names, load_command
from budflow.cli.options import FILE_BYTES_MAX
from tests.cli.conftest import Cli

BUDFLOW = str(Path(sys.executable).with_name("budflow"))


def test_help_lists_every_command_with_its_sentence(cli: Cli) -> None:
    shown = cli("--help").stdout

    for name in command_names():
        assert re.search(rf"\b{name}\b +\S", shown), name
    assert "Exit codes" in shown


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    assert "Usage" in cli(exits=None).output


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version").stdout == f"budflow {__version__}\n"


def test_an_unknown_command_is_wrong_usage(cli: Cli) -> None:
    assert "No such command" in cli("srve", exits=2).output


@pytest.mark.parametrize("name", command_names())
def test_every_command_and_subcommand_has_an_example_in_its_help(name: str) -> None:
    command = load_command(name)
    found = command.commands.values() if isinstance(command, TyperGroup) else [command]

    assert [one.name for one in found if "Example" not in f"{one.help}{one.epilog}"] == []


@pytest.mark.parametrize("name", command_names())
def test_every_command_that_answers_can_answer_in_json(name: str) -> None:
    command = load_command(name)
    found = command.commands.values() if isinstance(command, TyperGroup) else [command]
    speaks_protocol = {"mcp"}  # JSON already.

    lacking = [one.name for one in found if "--json" not in [opt for param in one.params for opt in param.opts]]
    assert set(lacking) <= speaks_protocol


def test_listing_and_serving_load_no_other_command() -> None:
    listing = "import sys; from budflow.cli.main import app; app(['--help'], standalone_mode=False)"
    script = f"{listing}; print(sorted(m for m in sys.modules if m.startswith('budflow.cli.commands.')))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BUDFLOW_PORT", "abc", "BUDFLOW_PORT: "),
        ("BUDFLOW_PORT", "70000", "BUDFLOW_PORT: "),
        ("BUDFLOW_EXECUTOR", "celery", "BUDFLOW_EXECUTOR: "),
        ("BUDFLOW_CONFIG_FILE", "/nowhere.toml", "There is no settings file"),
    ],
)
def test_a_wrong_variable_is_one_clear_error(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)

    result = cli("status", exits=1)

    assert "settings.invalid" in result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [("port = 'abc'", "`port` in "), ("prot = 1", "`prot` in "), ("port = ", "is not TOML")],
)
def test_a_wrong_settings_file_is_one_clear_error(cli: Cli, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "budflow.toml"
    file.write_text(text)

    result = cli("--config", file, "status", exits=1)

    assert said in result.stderr


def test_a_wrong_setting_never_shows_its_value(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_PORT", "hunter2")

    assert "hunter2" not in cli("status", exits=1).output


def test_the_data_directory_comes_by_option(cli: Cli, tmp_path: Path) -> None:
    assert "elsewhere" in cli("--data-dir", tmp_path / "elsewhere", "status", exits=3).stderr


def test_a_file_that_is_too_large_is_not_read(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    with file.open("wb") as sparse:
        sparse.truncate(FILE_BYTES_MAX + 1)

    assert "larger than" in cli("validate", file, exits=2).stderr


@pytest.mark.process
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = f"{BUDFLOW} doctor --json | head -c 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stderr == ""
