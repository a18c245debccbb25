"""Runtime environments in the settings: what an operator may write, and what is refused with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.credentials.settings_hand_over import Given, SettingsReceiver, seal_settings
from budflow.runtime_envs import RuntimeEnv, requirement_lines
from budflow.settings import Settings

HASH = "--hash=sha256:" + "0a" * 32
LOCK = f"""
# This file was made by uv pip compile --generate-hashes
--no-index
polars==1.9.0 \\
    {HASH} \\
    {HASH}
    # via -r requirements.in
numpy[extra]==2.1.0 ; python_version >= "3.11"  # pinned
"""


def refused(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        RuntimeEnv(**{"types": ("acme.embed",), **fields})
    detail, *_ = caught.value.errors()
    return str(detail["msg"])


@pytest.mark.parametrize(
    "line",
    [
        *("polars==1.9.0", "polars == 1.9.0", "Torch[cpu,extra]==2.5.1+cpu", f"polars==1.9.0 {HASH} {HASH}"),
        *('numpy==2.1.0 ; python_version >= "3.11"', "--no-index", "--find-links=/srv/wheels", "--require-hashes"),
    ],
)
def test_pinned_requirements_are_taken(line: str) -> None:
    assert RuntimeEnv(types=("acme.embed",), packages=(line,)).packages == (line,)


@pytest.mark.parametrize(
    "line",
    [
        *("polars", "polars>=1.9", "polars==1.*", "polars~=1.9", "polars @ https://example.com/polars.whl", "./polars"),
        *("-r other.txt", "-e .", "-i https://pypi.example", "--find-links=https://example.com", ""),
        *("polars==1.9.0 --hash=md5:00", "polars==1.9.0; $SECRET", "--find-links=/srv/$HOME", "polars==1.9.0\nx==1"),
    ],
)
def test_what_is_not_pinned_is_refused(line: str) -> None:
    assert "is no pinned requirement" in refused(packages=(line,))


@pytest.mark.parametrize("line", ["ray==2.60.0", "BudFlow==1.0"])
def test_what_the_cluster_runs_itself_is_refused(line: str) -> None:
    assert "is what the cluster runs itself" in refused(packages=(line,))


def test_a_password_in_an_index_is_not_repeated() -> None:
    assert "hunter2" not in refused(packages=("-i https://me:hunter2@pypi.example/simple",))


@pytest.mark.parametrize("name", ["HF_TOKEN", "API_KEY", "apikey", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AUTH"])
def test_variables_that_look_like_secrets_are_refused(name: str) -> None:
    assert f"`{name}` looks like a secret" in refused(env_vars={name: "x"})


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "MONKEYS", "LANG"])
def test_variables_with_harmless_names_are_taken(name: str) -> None:
    assert RuntimeEnv(types=("acme.embed",), env_vars={name: "1"}).env_vars == {name: "1"}


def test_other_variables_that_do_harm_are_refused() -> None:
    assert "names with BUDFLOW_ and RAY_" in refused(env_vars={"BUDFLOW_LOG_LEVEL": "debug"})
    assert "names with BUDFLOW_ and RAY_" in refused(env_vars={"ray_address": "x"})
    assert "a password in a URL" in refused(env_vars={"PROXY": "http://me:hunter2@proxy.example"})
    assert "longer than 4,096" in refused(env_vars={"LONG": "x" * 4_097})
    assert "pattern" in refused(env_vars={"NOT A NAME": "x"})


@pytest.mark.parametrize(
    "name", ["image_uri", "container", "conda", "py_modules", "working_dir", "py_executable", "uv"]
)
def test_what_ray_has_besides_is_refused_with_the_reason(name: str) -> None:
    message = refused(**{name: "x"})

    assert f"`{name}` is not offered. " in message


def test_an_unknown_field_or_an_empty_environment_or_one_for_nobody_is_refused() -> None:
    assert "not permitted" in refused(packages=("x==1",), imge="x")
    assert "neither packages nor variables" in refused()
    assert "at least 1 item" in refused(types=(), packages=("x==1",))
    assert "pattern" in refused(types=("acme.*",), packages=("x==1",))


def test_a_lock_is_read_into_the_packages(tmp_path: Path) -> None:
    lock = tmp_path / "ml.lock"
    lock.write_text(LOCK)

    environment = RuntimeEnv.model_validate({"types": ["acme.embed"], "packages": ["--require-hashes"], "lock": lock})

    assert environment.lock is None
    assert environment.packages == (
        *("--require-hashes", "--no-index", f"polars==1.9.0 {HASH} {HASH}"),
        'numpy[extra]==2.1.0 ; python_version >= "3.11"',
    )


def test_a_lock_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(lock=tmp_path / "none.lock")
    (tmp_path / "binary.lock").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refused(lock=tmp_path / "binary.lock")


def test_a_line_that_goes_on_at_the_end_of_a_file_is_kept() -> None:
    assert list(requirement_lines("a==1 \\\n")) == ["a==1"]


def test_a_type_has_one_environment() -> None:
    rivals = {name: {"types": ["acme.embed"], "env_vars": {"A": "1"}} for name in ("one", "two")}

    with pytest.raises(ValidationError, match="in `one` and in `two`"):
        Settings(ray_runtime_envs=rivals)


def test_a_variable_that_is_no_json_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_RAY_RUNTIME_ENVS", "ml")

    with pytest.raises(ValidationError, match="This is not JSON"):
        Settings()


def test_they_come_by_variable_and_by_file_and_reach_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ml.lock").write_text(LOCK)
    file = tmp_path / "budflow.toml"
    file.write_text(f'[ray_runtime_envs.ml]\ntypes = ["acme.embed"]\nlock = "{tmp_path}/ml.lock"\n')
    settings = Settings(config_file=file)
    assert len(settings.ray_runtime_envs["ml"].packages) == 3

    receiver = SettingsReceiver(b"test")
    assert receiver.open(seal_settings(Given(settings), receiver.public_key, b"test")).settings == settings

    monkeypatch.setenv("BUDFLOW_RAY_RUNTIME_ENVS", json.dumps({"fast": {"types": ["a.b"], "env_vars": {"A": "1"}}}))
    assert Settings().ray_runtime_envs["fast"].env_vars == {"A": "1"}
