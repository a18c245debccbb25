"""Logs: every part writes an event with its fields to the standard library; here they become lines on stderr.

structlog renders them, in colours on a terminal and as JSON elsewhere. It is imported with the first line written:
with the parts of rich that it brings it would cost every start 0.1 s.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

#: Libraries whose ordinary lines are no news; some write one for every request, with its URL, or what signs it.
_TALKATIVE = (
    "alembic",
    "asyncio",
    "boto3",
    "botocore",
    "httpcore2",
    "httpx2",
    "mcp",
    "urllib3",
    "uvicorn",
    "websockets",
)


class Log:
    """A named logger of events: `log.info("ray.started", address="…")`. Never put a secret into a field."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        """What a developer wants to know."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What an operator wants to know."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What went wrong and was coped with."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, *, exc_info: Any = None, **fields: Any) -> None:
        """What went wrong."""
        self._write(logging.ERROR, event, fields, exc_info)

    def exception(self, event: str, **fields: Any) -> None:
        """What went wrong, with the exception that is being handled."""
        self._write(logging.ERROR, event, fields, True)

    def _write(self, level: int, event: str, fields: Mapping[str, Any], exc_info: Any = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=exc_info, extra={"fields": dict(fields)})


def get_log(name: str) -> Log:
    """The logger of a module: `log = get_log(__name__)`."""
    return Log(name)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write everything from `level` (such as `info`) on to `stream`, by default stderr."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_StructuredFormatter(colours=target.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class _StructuredFormatter(logging.Formatter):
    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours
        self._inner: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._inner is None:
            self._inner = _structlog_formatter(self._colours)
        return self._inner.format(record)


def _structlog_formatter(colours: bool) -> logging.Formatter:
    import structlog  # noqa: PLC0415 - see the docstring of this module

    ending: list[structlog.types.Processor] = (
        # The default shows the variables of every frame, and one of them may hold a secret.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if colours
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_fields,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )


def _add_fields(_logger: Any, _method: str, event_dict: Any) -> Any:
    event_dict.update(getattr(event_dict["_record"], "fields", {}))
    return event_dict
