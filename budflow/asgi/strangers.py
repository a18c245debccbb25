"""What somebody without an account is told of an error: what was written for them, and of all others nothing."""

from budflow.errors import BudflowError
from budflow.log import Log
from budflow.model.identity import new_id
from budflow.services.problem_document import InternalError


class Unavailable(BudflowError):
    """The server cannot take this request now."""

    code = "webhook.unavailable"
    http_status = 503
    hint = "Send it again after the seconds in `Retry-After`."


def for_strangers(error: Exception, public: tuple[type[BudflowError], ...], log: Log, event: str) -> BudflowError:
    """The error itself if it is `public`; of another one only that something went wrong, while `log` keeps the rest."""
    if isinstance(error, public):
        return error
    error_id = new_id("err")
    log.error(event, error_id=error_id, exc_info=error)
    if isinstance(error, BudflowError) and error.http_status == Unavailable.http_status:
        return Unavailable()
    return InternalError(error_id=error_id)
