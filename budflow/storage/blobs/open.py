"""Which blob store a server uses: so far a directory, named by `blob_url` or in the data directory."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from budflow.errors import BudflowError
from budflow.storage.blobs.directory import DirectoryBlobs

DIRECTORY = "blobs"


class BlobUrlRefused(BudflowError):
    """The `blob_url` names no place for blobs that this release knows."""

    code = "blob.url_refused"
    http_status = 500
    hint = "Write it as file:///an/absolute/directory, or leave it out: then they are in the data directory."


def open_blobs(blob_url: str | None, data_dir: Path) -> DirectoryBlobs:
    """Open the blob store, which is made when it is first needed. Raises BlobUrlRefused."""
    if blob_url is None:
        return DirectoryBlobs(data_dir / DIRECTORY)
    parts = urlsplit(blob_url)
    if parts.scheme != "file":
        raise BlobUrlRefused(f"`blob_url` begins with {parts.scheme or 'no scheme'}; only file:// is supported.")
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
        raise BlobUrlRefused("`blob_url` must be file:// and an absolute path.")
    return DirectoryBlobs(path)
