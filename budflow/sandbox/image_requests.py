"""What a requester and sandboxd say to each other of images, beside tasks (`requests.py`): prepare, find, remove one.

Any requester may have one prepared, as its code does anyway. Finding and removing is for who counts them on a machine,
as Ray's runtime environments do: its ticket is for NODE instead of a project, and lets it run no code.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from budflow.sandbox.messages import Index, Message, Short

#: The subject of such a ticket; no project has this id.
NODE = "*node*"
REQUIREMENTS_MAX = 100

Image = Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$")]


class ImageMessage(Message):
    """One message. `request` is the requester's number for it, which the answers have too."""

    request: Index


class Prepare(ImageMessage):
    """Have the image for these requirements ready: (`preparing`)*, then `image` or `image_refused`."""

    type: Literal["prepare"] = "prepare"
    requirements: Annotated[list[Short], Field(max_length=REQUIREMENTS_MAX)]


class FindImage(ImageMessage):
    """Is this image there? `image` or `image_refused`. The empty one: is there a sandbox without images?"""

    type: Literal["find_image"] = "find_image"
    image: Image


class RemoveImage(ImageMessage):
    """Remove this image where nobody uses it: `image_removed` or `image_refused`."""

    type: Literal["remove_image"] = "remove_image"
    image: Image


class Preparing(ImageMessage):
    """What is being done."""

    type: Literal["preparing"] = "preparing"
    message: Short


class ImageReady(ImageMessage):
    """The image is there; `bytes` are those that it takes beyond the base image."""

    type: Literal["image"] = "image"
    image: Image
    bytes: Annotated[int, Field(ge=0)]


class ImageRemoved(ImageMessage):
    """What that freed."""

    type: Literal["image_removed"] = "image_removed"
    bytes: Annotated[int, Field(ge=0)]


class ImageRefused(ImageMessage):
    """Why not, by an error of `budflow.model.sandbox`."""

    type: Literal["image_refused"] = "image_refused"
    code: str
    message: str
    hint: str = ""


ImageRequest = Prepare | FindImage | RemoveImage
ImageAnswer = Annotated[Preparing | ImageReady | ImageRemoved | ImageRefused, Field(discriminator="type")]
IMAGE_ANSWER: TypeAdapter[Any] = TypeAdapter(ImageAnswer)
