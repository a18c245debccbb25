"""Which sandbox a process has, as its settings say."""

import os
from pathlib import Path

import pytest

from budflow.model.log import NO_LOG
from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings
from budflow.sandbox.open import daemon_settings, directory_of, open_sandbox
from budflow.sandbox.places import SOCKET_PATH_MAX
from budflow.settings import Settings
from tests.sandbox.tasks import task


def is_empty(directory: Path) -> bool:
    return not any(directory.iterdir())


async def test_one_that_is_off_says_so_and_runs_nothing(tmp_path: Path) -> None:
    async with open_sandbox(Settings(data_dir=tmp_path, sandbox="off")) as sandbox:
        assert await sandbox.describe() == {"state": "off"}
        with pytest.raises(SandboxUnavailable, match="is `off`"):
            await anext(sandbox.of("default").run(task("return {}"), NO_LOG))


async def test_nothing_is_started_before_the_first_code(tmp_path: Path) -> None:
    async with open_sandbox(Settings(data_dir=tmp_path)) as sandbox:
        assert await sandbox.describe() == {"state": "idle"}

    assert is_empty(tmp_path)


async def test_one_that_is_to_be_elsewhere_and_is_not_is_told_of(tmp_path: Path) -> None:
    async with open_sandbox(Settings(sandbox_address=f"unix:{tmp_path}/sandboxd.sock")) as sandbox:
        told = await sandbox.describe()

    assert told["state"] == "failed"
    assert told["problem"]


def test_sandboxd_is_told_every_setting_that_is_about_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, sandbox_workers_max=3, sandbox_workers_warm=9, http_allow=("crm.internal",))

    told = daemon_settings(settings)

    assert (told.directory, told.http_allow) == (tmp_path / "sandbox", ("crm.internal",))
    assert (told.workers_max, told.workers_warm) == (3, 3)
    known = {f"sandbox_{name}" for name in DaemonSettings.model_fields} | {"sandbox", "sandbox_address"}
    assert {name for name in Settings.model_fields if name.startswith("sandbox")} <= known


@pytest.mark.parametrize("field", ["workers_max", "workers_warm", "tasks_a_worker", "memory_mb_max", "queued_max"])
def test_what_the_settings_allow_sandboxd_takes(field: str) -> None:
    limits = {type(limit).__name__: limit for limit in Settings.model_fields[f"sandbox_{field}"].metadata}

    for limit in limits.values():
        value = getattr(limit, "ge", None)
        value = getattr(limit, "le", None) if value is None else value
        DaemonSettings(directory=Path("/run/budflow"), **{field: value})


def test_where_the_data_directory_has_a_long_path_the_socket_has_a_short_one(tmp_path: Path) -> None:
    deep = Settings(data_dir=tmp_path / ("long" * 40))

    directory = directory_of(deep)

    assert len(os.fsencode(directory / SOCKET_FILE)) <= SOCKET_PATH_MAX
    assert directory == directory_of(deep) != directory_of(Settings(data_dir=tmp_path / ("other" * 40)))
