"""The runtime environment `budflow_sandbox`: what it accepts, and that Ray's plugin API is still the one it meets."""

import inspect
import json
import logging
from typing import Any

import pytest
import ray
from ray._private.runtime_env import constants
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin, RuntimeEnvPluginManager, create_for_plugin_if_needed
from ray._private.runtime_env.uri_cache import URICache

from budflow.model.sandbox import SandboxUnavailable
from ray_jobs import sandbox_node
from ray_jobs.sandbox_address import PLUGIN, PLUGINS_VARIABLE
from ray_jobs.sandbox_env import (
    IMAGE_VARIABLE,
    NAME,
    NO_IMAGE,
    SandboxEnv,
    runtime_env,
    short,
)
from tests.until import until

DIGEST = "sha256:" + "0123456789abcdef" * 4
URI = f"{NAME}://{DIGEST}"
LOG = logging.getLogger("runtime_env")


class FakeImages:
    """What a node's sandboxd has: the bytes of each image."""

    def __init__(self, images: dict[str, int]) -> None:
        self.images = images
        self.asked: list[str] = []
        self.removed: list[str] = []

    async def image_bytes(self, image: str) -> int:
        self.asked.append(image)
        if image not in self.images:
            raise SandboxUnavailable(f"There is no image {image}.")
        return self.images[image]

    async def remove_image(self, image: str) -> int:
        self.removed.append(image)
        return self.images.pop(image)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> FakeImages:
    fake = FakeImages({DIGEST: 1000, "": 0})
    monkeypatch.setattr(sandbox_node, "image_bytes", fake.image_bytes)
    monkeypatch.setattr(sandbox_node, "remove_image", fake.remove_image)
    return fake


async def _prepare(plugin: SandboxEnv, cache: URICache, shape: dict[str, Any]) -> RuntimeEnvContext:
    """As Ray's agent does."""
    context = RuntimeEnvContext()
    await create_for_plugin_if_needed(shape, plugin, cache, context, LOG)
    return context


def test_an_image_and_a_profile_are_all_that_may_stand_in_it() -> None:
    SandboxEnv.validate(runtime_env(DIGEST, egress=False))
    SandboxEnv.validate(runtime_env(DIGEST, egress=True))
    SandboxEnv.validate(runtime_env(NO_IMAGE, egress=False))


@pytest.mark.parametrize(
    "shape",
    [
        {},
        "sha256:abc",
        {"image": DIGEST},
        {"image": DIGEST, "profile": "strict", "ticket": "secret"},
        {"image": DIGEST, "profile": "privileged"},
        {"image": "python:3.11", "profile": "strict"},
        {"image": "sha256:abc", "profile": "strict"},
        {"image": DIGEST + "\n", "profile": "strict"},
        {"image": f"evil@{DIGEST}", "profile": "strict"},
        {"image": None, "profile": "strict"},
    ],
)
def test_anything_else_is_refused(shape: Any) -> None:
    with pytest.raises(ValueError, match=NAME):
        SandboxEnv.validate({NAME: shape})


def test_its_uri_is_that_of_the_image_alone() -> None:
    plugin = SandboxEnv()

    assert plugin.get_uris(runtime_env(DIGEST, egress=False)) == [URI]
    assert plugin.get_uris(runtime_env(DIGEST, egress=True)) == [URI]
    assert plugin.get_uris(runtime_env(NO_IMAGE, egress=False)) == []
    assert plugin.get_uris({"env_vars": {"A": "1"}}) == []
    assert plugin.get_uris({NAME: "of another kind"}) == []


async def test_an_image_is_asked_for_once_and_the_worker_is_told_that_it_is_ready(images: FakeImages) -> None:
    plugin = SandboxEnv()
    cache = URICache(plugin.delete_uri, 10_000)

    for egress in (False, True):
        context = await _prepare(plugin, cache, runtime_env(DIGEST, egress=egress))
        assert context.env_vars == {IMAGE_VARIABLE: DIGEST}

    assert images.asked == [DIGEST]
    assert cache.get_total_size_bytes() == 1000


async def test_an_image_that_is_not_there_is_no_environment(images: FakeImages) -> None:
    other = DIGEST.replace("0", "f")

    with pytest.raises(SandboxUnavailable, match=other):
        await _prepare(SandboxEnv(), URICache(), runtime_env(other, egress=False))


async def test_ray_collects_an_image_that_nobody_uses_when_there_are_too_many(images: FakeImages) -> None:
    plugin = SandboxEnv()
    cache = URICache(plugin.delete_uri, 500)
    await _prepare(plugin, cache, runtime_env(DIGEST, egress=False))

    cache.mark_unused(URI, LOG)

    await until(lambda: images.removed == [DIGEST])
    assert cache.get_total_size_bytes() == 0
    assert URI not in cache


async def test_an_image_that_is_being_removed_is_asked_for_when_that_is_done(images: FakeImages) -> None:
    plugin = SandboxEnv()
    await plugin.create(URI, runtime_env(DIGEST, egress=False), RuntimeEnvContext(), LOG)
    assert plugin.delete_uri(URI, LOG) == 1000

    with pytest.raises(SandboxUnavailable):
        await plugin.create(URI, runtime_env(DIGEST, egress=False), RuntimeEnvContext(), LOG)
    assert images.removed == [DIGEST]


async def test_a_sandboxd_that_does_not_answer_does_not_stop_rays_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(image: str) -> int:
        raise OSError("gone")

    monkeypatch.setattr(sandbox_node, "remove_image", refuse)

    assert SandboxEnv().delete_uri(URI, LOG) == 0


async def test_without_images_the_sandbox_itself_is_asked_for(images: FakeImages) -> None:
    context = await _prepare(SandboxEnv(), URICache(), runtime_env(NO_IMAGE, egress=False))

    assert images.asked == [""]
    assert context.env_vars == {IMAGE_VARIABLE: NO_IMAGE}


def test_names_have_the_first_digits_of_an_image() -> None:
    assert short(DIGEST) == "sha256:0123456789ab"
    assert short(NO_IMAGE) == NO_IMAGE


# --- the contract with Ray ------------------------------------------------------------------------------------------

CHANGED = f"Ray {ray.__version__} changed its plugin API for runtime environments: adapt ray_jobs/sandbox_env.py"


def _parameters(function: Any) -> list[str]:
    return [*inspect.signature(function).parameters]


def test_ray_has_the_plugin_api_that_we_meet() -> None:
    assert ray.__version__.startswith("2.60."), CHANGED
    expected = {
        "validate": ["runtime_env_dict"],
        "get_uris": ["self", "runtime_env"],
        "create": ["self", "uri", "runtime_env", "context", "logger"],
        "modify_context": ["self", "uris", "runtime_env", "context", "logger"],
        "delete_uri": ["self", "uri", "logger"],
    }
    public = {name for name, _ in inspect.getmembers(RuntimeEnvPlugin, inspect.isfunction) if name[0] != "_"}
    assert public == expected.keys(), CHANGED
    for name, parameters in expected.items():
        assert _parameters(getattr(RuntimeEnvPlugin, name)) == parameters, f"{CHANGED}: {name}"
        assert _parameters(getattr(SandboxEnv, name)) == parameters, name
    assert inspect.iscoroutinefunction(RuntimeEnvPlugin.create), CHANGED
    assert isinstance(inspect.getattr_static(RuntimeEnvPlugin, "validate"), staticmethod), CHANGED
    assert "env_vars" in _parameters(RuntimeEnvContext.__init__), CHANGED
    assert _parameters(URICache.__init__)[1:3] == ["delete_fn", "max_total_size_bytes"], CHANGED


def test_ray_loads_the_plugin_by_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert constants.RAY_RUNTIME_ENV_PLUGINS_ENV_VAR == PLUGINS_VARIABLE, CHANGED
    assert PLUGIN.keys() == {constants.RAY_RUNTIME_ENV_CLASS_FIELD_NAME}, CHANGED
    monkeypatch.setenv(PLUGINS_VARIABLE, json.dumps([PLUGIN]))
    monkeypatch.setenv("RAY_RUNTIME_ENV_BUDFLOW_SANDBOX_CACHE_SIZE_GB", "0.5")

    manager: Any = RuntimeEnvPluginManager
    loaded = manager().plugins[NAME]

    assert isinstance(loaded.class_instance, SandboxEnv)
    assert loaded.uri_cache.max_total_size_bytes == 512 * 1024**2
