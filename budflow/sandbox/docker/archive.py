"""An image as one file that `docker load` reads: the same tree gives the same bytes, and with them the same digest.

The format is that of `docker save` (Docker Image Specification v1.2.0), which every version of the engine loads.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

#: The modification time of everything in an image.
EPOCH = "1970-01-01T00:00:00Z"
_BLOCK = 1024 * 1024

#: Sets owner and mode of an entry by its name.
Dress = Callable[[tarfile.TarInfo], None]


def image_archive(root: Path, config: Mapping[str, Any], machine: str, dress: Dress, tag: str) -> tuple[IO[bytes], str]:
    """Pack a tree as an image of one layer. Gives the file, to be closed by the caller, and the image's digest."""
    archive = tempfile.TemporaryFile()  # noqa: SIM115 the caller closes it, when it has been sent
    with tempfile.TemporaryFile() as layer:
        layer_digest = _write_layer(root, layer, dress)
        image = json.dumps(
            {
                "architecture": machine,
                "os": "linux",
                "created": EPOCH,
                "config": dict(config),
                "history": [{"created": EPOCH, "comment": "budflow"}],
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            },
            sort_keys=True,
        ).encode()
        digest = hashlib.sha256(image).hexdigest()
        layer_name = f"{layer_digest}/layer.tar"
        manifest = [{"Config": f"{digest}.json", "RepoTags": [tag], "Layers": [layer_name]}]
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
            size = layer.seek(0, io.SEEK_END)
            layer.seek(0)
            _add(tar, layer_name, layer, size)
            _add(tar, f"{digest}.json", io.BytesIO(image), len(image))
            described = json.dumps(manifest).encode()
            _add(tar, "manifest.json", io.BytesIO(described), len(described))
    archive.seek(0)
    return archive, f"sha256:{digest}"


def _write_layer(root: Path, layer: IO[bytes], dress: Dress) -> str:
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in _entries(root):
            info = tar.gettarinfo(path, arcname=str(path.relative_to(root)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = 0
            info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            dress(info)
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    layer.seek(0)
    digest = hashlib.sha256()
    while block := layer.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _entries(root: Path) -> list[Path]:
    found: list[Path] = []
    for directory, names, files in os.walk(root):
        found.extend(Path(directory) / name for name in (*names, *files))
    return sorted(found)


def _add(tar: tarfile.TarFile, name: str, data: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    tar.addfile(info, data)
