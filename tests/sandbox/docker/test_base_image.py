"""The base image: the same from the same files, with nothing in it that a worker does not need."""

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.docker import python_tree
from budflow.sandbox.docker.base_image import base_tag, build_base, image_config
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.images import Images
from budflow.sandbox.docker.python_tree import PACKAGES_DIRECTORY, SITE_PACKAGES, worker_files
from tests.sandbox.docker.confined import Confined

DOCKERFILE = Path(__file__).parents[3] / "configs" / "sandbox" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(name, arguments) of the Dockerfile's lines."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE))
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()]


def given(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
async def test_an_image_of_other_files_is_made_anew_and_the_same_files_give_the_same_image(
    engine: Engine, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr("budflow.sandbox.docker.base_image.made_from", lambda: "other files")
        patched.setattr("budflow.sandbox.docker.python_tree.stage", lambda root: (root / "a").write_text("other"))
        other = build_base(engine)

    again = await Images(engine, tmp_path, None).prepare((), told.append)

    assert told == ["Making the base image"]
    assert other != again == base_image
    assert engine.image(other) is None, "It had the name, and nobody uses it."


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_the_worker_is_in_it_and_nothing_else_of_budflow(engine: Engine, base_image: str, sockets: Path) -> None:
    code = f"""
        import os
        for d, _, fs in os.walk("/{SITE_PACKAGES}/budflow"):
            for f in fs:
                if f.endswith(".py"): print(os.path.relpath(os.path.join(d, f), "/{SITE_PACKAGES}"))
    """
    found = set(Confined(engine, base_image, sockets)(code).words)

    assert {"budflow/__init__.py", "budflow/sandbox/__init__.py", "budflow/sandbox/worker/__main__.py"} <= found
    assert all(name.count("/") == 1 or name.startswith("budflow/sandbox/") for name in found)
    assert not any(name.startswith("budflow/sandbox/docker") for name in found)


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_what_is_no_image_is_refused_with_the_engines_reason(engine: Engine) -> None:
    with pytest.raises(SandboxUnavailable, match="Docker did not take the image"):
        engine.load_image(io.BytesIO(b"no archive" * 1_000))


@pytest.mark.docker
@pytest.mark.xdist_group("docker")
def test_a_python_that_no_image_can_be_made_of_is_told_with_what_else_to_do(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_root: Path) -> None:
        raise ValueError("it is linked statically")

    monkeypatch.setattr("budflow.sandbox.docker.python_tree.stage", fail)

    with pytest.raises(SandboxUnavailable, match="linked statically") as refused:
        build_base(engine)
    assert "configs/sandbox/Dockerfile" in refused.value.hint


def test_its_name_is_that_of_the_version() -> None:
    assert re.fullmatch(r"budflow-sandbox:\d+\.\d+\.\d+.*", base_tag())


def test_the_worker_depends_on_no_other_module_of_budflow() -> None:
    """What it would import is not in the image."""
    for name, source in worker_files():
        if name.startswith("budflow/sandbox/worker/") and name.endswith(".py"):
            imported = re.findall(r"^\s*(?:from|import) (budflow[\w.]*)", source.read_text(), flags=re.MULTILINE)
            assert all(module == "budflow" or module.startswith("budflow.sandbox.worker") for module in imported), name


def test_the_dockerfile_runs_the_worker_as_the_built_image_does() -> None:
    config = image_config("")

    assert given("ENV") == config["Env"]
    assert given("USER") == [config["User"]]
    assert given("WORKDIR") == [config["WorkingDir"]]
    assert [json.loads(arguments) for arguments in given("ENTRYPOINT")] == [config["Entrypoint"]]


def test_the_dockerfile_installs_the_same_files() -> None:
    copied = {source for arguments in given("COPY") for source in shlex.split(arguments)[:-1]}
    run = " ".join(given("RUN"))

    assert copied == {f"budflow/{name}" for name in python_tree.OF_BUDFLOW}
    for package in python_tree.PACKAGES:
        assert f'"{package}>=' in run
    for name in python_tree.RUN_AT_THE_START:
        assert f'"$library/{name}"' in run
    assert f'echo {PACKAGES_DIRECTORY} > "$library/site-packages/{python_tree.PATH_FILE}"' in run
    assert f"chown {python_tree.NOBODY}:{python_tree.NOBODY} {PACKAGES_DIRECTORY}" in run
    assert "uninstall --yes pip" in run


def test_the_dockerfile_has_no_instruction_that_this_test_does_not_know() -> None:
    known = {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT"}

    assert {name for name, _ in instructions()} <= known
