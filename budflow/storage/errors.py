"""What every adapter may raise beside the errors of the model: the database refuses, or cannot be reached."""

from budflow.errors import BudflowError


class StorageUnavailable(BudflowError):
    """The database cannot be written or read now."""

    code = "storage.unavailable"
    http_status = 503
    hint = "Look at the disk's free space, or whether the database server runs, and send it again."


class WriteConflict(BudflowError):
    """The write contradicts what is stored: an id or a journal position is taken, or a row it needs is missing."""

    code = "storage.conflict"
    http_status = 409
    hint = "Read what is stored now; nothing of the write was kept."


class TextRefused(BudflowError):
    """A text holds characters that no database can keep: NUL or half of a surrogate pair."""

    code = "storage.text_refused"
    http_status = 422
    hint = "Remove the character; inside a document's values or an item it is allowed as a JSON escape."
