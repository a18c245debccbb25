"""What the command line answers to a shell."""

from budflow.errors import BudflowError

FAILED = 1
USAGE = 2
UNREACHABLE = 3


class UsageError(BudflowError):
    """The command was called wrongly."""

    code = "cli.usage"
    http_status = 400
    hint = "Add --help to the command to see its arguments and examples."


class ServerNotRunning(BudflowError):
    """No server is running on this data directory."""

    code = "server.not_running"
    http_status = 503
    hint = "Start one with `budflow serve`, or name another by --url or BUDFLOW_URL."


class ServerUnreachable(BudflowError):
    """The server does not answer."""

    code = "server.unreachable"
    http_status = 503
    hint = "Check the address, and that the server is running: `budflow status`."


def exit_code(error: BudflowError) -> int:
    """The exit code that an error ends a command with."""
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, ServerNotRunning | ServerUnreachable):
        return UNREACHABLE
    return FAILED
