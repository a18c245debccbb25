"""The Ray runtime environment `budflow_sandbox`: a Ray worker for which an image of the sandbox is ready on its node.

Ray loads the plugin by RAY_RUNTIME_ENV_PLUGINS in the agent of each node, which asks the node's sandboxd. It reads what
every user of the dashboard reads too: a digest and a profile, and nothing secret. See `ray_jobs.sandbox` for the rest.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.runtime_env.plugin import RuntimeEnvPlugin

from budflow.errors import BudflowError

NAME = "budflow_sandbox"
#: Instead of a digest, where sandboxd isolates by processes and has no images.
NO_IMAGE = "process"
PROFILES = ("strict", "egress")
#: What the relay's process has of it: the image that is ready.
IMAGE_VARIABLE = "BUDFLOW_SANDBOX_IMAGE"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHORT_CHARS = len("sha256:") + 12


def runtime_env(image: str, *, egress: bool) -> dict[str, Any]:
    """The environment for relays to workers of an image, which may reach hosts with `egress`."""
    return {NAME: {"image": image, "profile": "egress" if egress else "strict"}}


def short(image: str) -> str:
    """An image in names."""
    return image[:_SHORT_CHARS]


class SandboxEnv(RuntimeEnvPlugin):
    """Meets Ray's plugin API (a developer API, pinned by tests): one URI an image, which Ray counts and caches."""

    name = NAME

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._removing: dict[str, Future[None]] = {}
        self._thread = ThreadPoolExecutor(1, "budflow_sandbox")

    @staticmethod
    def validate(runtime_env_dict: Mapping[str, Any]) -> None:
        """See RuntimeEnvPlugin. Raises ValueError for anything but an image by its digest and a profile."""
        _image(runtime_env_dict)

    def get_uris(self, runtime_env: Mapping[str, Any]) -> list[str]:
        """See RuntimeEnvPlugin. Without images there is nothing to count.

        Ray asks for those of every environment, also of others and of such that are not valid, and must get an answer.
        """
        try:
            image = _image(runtime_env)
        except (KeyError, ValueError):
            return []
        return [] if image == NO_IMAGE else [f"{NAME}://{image}"]

    async def create(
        self, uri: str | None, runtime_env: Mapping[str, Any], context: RuntimeEnvContext, logger: logging.Logger
    ) -> float:
        """See RuntimeEnvPlugin. Raises what says why the image is not there, which Ray tells whoever asked for it."""
        from ray_jobs.sandbox_node import image_bytes  # noqa: PLC0415 - the agent starts without it, and so sooner

        image = _image(runtime_env)
        if uri in self._removing:
            await asyncio.wrap_future(self._removing.pop(uri))
        size = await image_bytes("" if image == NO_IMAGE else image)
        logger.info("The sandbox image %s is ready: %d bytes of its own.", image, size)
        if uri is not None:
            self._sizes[uri] = size
        return size

    def modify_context(
        self,
        uris: list[str],
        runtime_env: Mapping[str, Any],
        context: RuntimeEnvContext,
        logger: logging.Logger,
    ) -> None:
        """See RuntimeEnvPlugin."""
        context.env_vars[IMAGE_VARIABLE] = _image(runtime_env)

    def delete_uri(self, uri: str, logger: logging.Logger) -> int:
        """See RuntimeEnvPlugin. It does not wait for sandboxd, since Ray's agent does nothing else meanwhile.

        What it gives is what `create` gave, so that Ray's sum is right, also where another one uses the image still.
        """
        self._removing = {one: removing for one, removing in self._removing.items() if not removing.done()}
        self._removing[uri] = self._thread.submit(_remove, uri.removeprefix(f"{NAME}://"), logger)
        return self._sizes.pop(uri, 0)


def _remove(image: str, logger: logging.Logger) -> None:
    from ray_jobs.sandbox_node import remove_image  # noqa: PLC0415 - as said above

    try:
        freed = asyncio.run(remove_image(image))
    except (BudflowError, OSError, TimeoutError) as error:
        logger.warning("The sandbox image %s was not removed: %s", image, error)
    else:
        logger.info("The sandbox image %s was removed: %d bytes.", image, freed)


def _image(runtime_env: Mapping[str, Any]) -> str:
    shape = runtime_env[NAME]
    if not isinstance(shape, Mapping) or set(shape) != {"image", "profile"}:
        raise ValueError(f"`{NAME}` has `image` and `profile` and nothing else: nothing secret may stand in it.")
    image, profile = shape["image"], shape["profile"]
    if not isinstance(image, str) or (image != NO_IMAGE and _DIGEST.fullmatch(image) is None):
        raise ValueError(f"`{NAME}` takes an image by its digest, such as sha256:9f86d0… with 64 digits.")
    if profile not in PROFILES:
        raise ValueError(f"`{NAME}` has no profile {profile!r}, only {' and '.join(PROFILES)}.")
    return image
