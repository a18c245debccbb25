"""What `budflow doctor` finds about the sandbox: whether code can run here, and how well it is isolated."""

import asyncio
import os
from pathlib import Path

from budflow.cli.finding import Finding, Level
from budflow.errors import BudflowError
from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.access import read_key
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.keeper import ExistingSandboxd
from budflow.sandbox.open import directory_of
from budflow.sandbox.process.runner import ProcessRunner
from budflow.sandbox.runners import Limits
from budflow.settings import Settings

SUBJECT = "sandbox"
CONNECT_SECONDS = 5.0
INSTALL = "Install Docker, or bubblewrap for reduced isolation; docs/guides/code.md says how."


def check_sandbox(settings: Settings) -> Finding:
    """Try what the settings say, as sandboxd would."""
    if settings.sandbox == "off":
        return Finding(SUBJECT, "ok", "It is off: code nodes do not run.")
    if settings.sandbox_address is not None:
        return _existing(settings, settings.sandbox_address)
    found, lacks = [], []
    if settings.sandbox != "process":
        try:
            found.append(_docker(settings))
        except BudflowError as error:
            lacks.append(error.message)
    if settings.sandbox != "docker" and not found:
        lack = asyncio.run(ProcessRunner(Limits(cpus=settings.sandbox_cpus)).trouble())
        if lack is None:
            said = f"bubblewrap, reduced isolation. {' '.join(lacks)}".strip()
            return Finding(SUBJECT, "warn", said, "With Docker, code is isolated better and may have packages.")
        lacks.append(lack)
    if found:
        return Finding(SUBJECT, "ok", found[0])
    level: Level = "warn" if settings.sandbox == "auto" else "fail"
    return Finding(SUBJECT, level, f"Code nodes cannot run. {' '.join(lacks)}", INSTALL)


def _existing(settings: Settings, address: str) -> Finding:
    try:
        read_key(directory_of(settings))
        told = asyncio.run(_describe(address))
    except (BudflowError, TimeoutError) as error:
        said = error.message if isinstance(error, BudflowError) else f"{address} does not answer."
        return Finding(SUBJECT, "fail", said, "Start `budflow sandbox serve` there, for a group that this user is in.")
    return Finding(SUBJECT, "ok", f"sandboxd at {address}: {told}")


async def _describe(address: str) -> str:
    client = SandboxClient(ExistingSandboxd(address))
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return str((await client.describe())["isolation"])
    finally:
        await client.close()


def _docker(settings: Settings) -> str:
    """What its engine is, and whether the image is there. Raises SandboxUnavailable."""
    url = settings.sandbox_docker_url
    if url.startswith("unix://") and not os.access(Path(url.removeprefix("unix://")), os.R_OK | os.W_OK):
        raise SandboxUnavailable(f"Docker's socket is not there, or not for this user: {url}.")
    from budflow.sandbox.docker.base_image import base_tag  # noqa: PLC0415 - docker-py, only where there is Docker
    from budflow.sandbox.docker.engine import Engine  # noqa: PLC0415 - see the line above

    engine = Engine(url)
    try:
        told, tag = engine.describe(), settings.sandbox_image or base_tag()
        there = engine.image(tag) is not None
    finally:
        engine.close()
    if settings.sandbox_runtime not in told["runtimes"]:
        raise SandboxUnavailable(f"Docker has no runtime `{settings.sandbox_runtime}`.")
    image = f"{tag} is there" if there else f"{tag} will be made with the first code"
    return f"Docker {told['engine']}, runtime {settings.sandbox_runtime}; {image}"
