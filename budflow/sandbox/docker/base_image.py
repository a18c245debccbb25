"""The base image, made from the installed Python without any registry (`budflow sandbox build-base`)."""

import hashlib
import platform
import ssl
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.docker import archive, python_tree, shared_libraries
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.python_tree import CERTIFICATES_FILE, NOBODY, PACKAGES_DIRECTORY, PYTHON, worker_files

#: The image's name, before its version.
BASE_NAME = "budflow-sandbox"
#: What an image was made from: with another BudFlow or Python the default image is made anew.
MADE_FROM = "budflow.sandbox.made-from"
#: The lock that an image has installed, with the image below it: by its digest.
LOCK_LABEL = "budflow.sandbox.lock"

#: What a worker's environment has, beside its ticket.
ENVIRONMENT = (
    "HOME=/tmp",
    "LANG=C.UTF-8",
    f"PATH={Path(PYTHON).parent}",
    f"SSL_CERT_FILE={CERTIFICATES_FILE}",
)
ENTRYPOINT = (PYTHON, "-I", "-m", "budflow.sandbox.worker")

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def base_tag() -> str:
    """The name of this version's base image."""
    return f"{BASE_NAME}:{version('budflow')}"


def build_base(engine: Engine, tag: str | None = None) -> str:
    """Make the base image and give its digest. The same files give the same one. Raises SandboxUnavailable."""
    try:
        with tempfile.TemporaryDirectory(prefix="budflow-image-") as directory:
            root = Path(directory)
            python_tree.stage(root)
            packed, digest = archive.image_archive(
                root, image_config(made_from()), machine(), _dress, tag or base_tag()
            )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(
            f"No base image could be made of this Python: {error}", hint="Build one from configs/sandbox/Dockerfile."
        ) from error
    with closing(packed):
        engine.load_image(packed)
    loaded = engine.image(tag or base_tag())
    made = str(loaded["Id"]) if loaded else digest  # Some engines name an image by its manifest's digest.
    for image in engine.images_labelled(MADE_FROM):
        named = set(image.get("RepoTags") or ()) - {"<none>:<none>"}
        if image["Id"] != made and not named and LOCK_LABEL not in (image.get("Labels") or {}):
            engine.remove_image(str(image["Id"]))  # It stood under this name before; where it is in use it stays.
    return made


def image_config(fingerprint: str) -> dict[str, Any]:
    """How the image runs: as nobody, the worker alone."""
    return {
        "User": f"{NOBODY}:{NOBODY}",
        "Env": list(ENVIRONMENT),
        "Entrypoint": list(ENTRYPOINT),
        "Cmd": None,
        "WorkingDir": "/tmp",  # noqa: S108 the container's own, a file system of its own
        "Labels": {MADE_FROM: fingerprint},
    }


def made_from() -> str:
    """What the base image depends on and this machine can tell quickly: Python, the worker, and how it is built."""
    seen = hashlib.sha256(f"{sys.version} {machine()} {ssl.OPENSSL_VERSION} {version('websockets')}".encode())
    recipe = (
        (Path(module.__file__ or "").name, module.__file__) for module in (archive, python_tree, shared_libraries)
    )
    sources = [(name, source) for name, source in worker_files() if name.startswith("budflow/")]
    for name, path in (*sources, *recipe, (Path(__file__).name, __file__)):
        seen.update(f"\0{name}\0".encode() + Path(str(path)).read_bytes())
    return seen.hexdigest()


def machine() -> str:
    """This machine's architecture, as images name it."""
    return _MACHINES.get(platform.machine(), platform.machine())


def _dress(info: tarfile.TarInfo) -> None:
    if info.name == "tmp":
        info.mode = 0o1777
    elif info.name == PACKAGES_DIRECTORY.lstrip("/"):
        info.uid = info.gid = NOBODY  # The build of an image with requirements writes here, and nobody else can.
