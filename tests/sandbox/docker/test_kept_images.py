"""Images that somebody else counts and collects: only those that the sandbox has built itself go."""

import pytest

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.runner import DockerRunner
from budflow.sandbox.runners import KeepsImages

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("docker")]


async def test_the_base_image_counts_as_nothing_and_stays(
    runner: DockerRunner, engine: Engine, base_image: str
) -> None:
    assert isinstance(runner, KeepsImages)

    assert await runner.image_bytes(base_image) == 0
    assert await runner.remove_image(base_image) == 0
    assert engine.image(base_image) is not None


async def test_an_image_that_is_not_the_sandboxs_is_not_used_and_stays(
    runner: DockerRunner, engine: Engine, stand_in: str
) -> None:
    with pytest.raises(SandboxUnavailable, match="no sandbox image"):
        await runner.image_bytes(stand_in)

    assert await runner.remove_image(stand_in) == 0
    assert engine.image(stand_in) is not None


async def test_an_image_that_is_not_there_is_told_and_removing_it_frees_nothing(runner: DockerRunner) -> None:
    gone = "sha256:" + "0" * 64

    with pytest.raises(SandboxUnavailable, match=gone):
        await runner.image_bytes(gone)
    assert await runner.remove_image(gone) == 0
