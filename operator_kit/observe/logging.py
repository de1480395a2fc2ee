"""Logs: text for people, JSON for machines, every line of a reconcile bound to its controller, object and reconcile id.

`bound(…)` binds fields to everything that is logged inside it, in the author's own modules too; the binding follows the code into
coroutines. Nothing is configured by importing; `configure` sets up the root logger, once, for the command line.

The fields are flat: `controller`, `kind`, `namespace`, `name`, `reconcile_id`, `attempt`, `reason`. Secrets have no business
in a log: objects are named, never printed.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

__all__ = ["BoundLogger", "JsonFormatter", "TextFormatter", "bound", "configure", "current_fields"]

_fields: ContextVar[Mapping[str, Any]] = ContextVar("operator_kit_log_fields")
_NOTHING: Mapping[str, Any] = {}
_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), 127)} | {9: "\t", 10: "\\n", 13: "\\r"}


def current_fields() -> Mapping[str, Any]:
    """The fields bound just now."""
    return _fields.get(_NOTHING)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Bind fields to every line logged inside, on top of what is bound already. Empty values are left out."""
    token = _fields.set(
        {**current_fields(), **{name: value for name, value in fields.items() if value is not None and value != ""}}
    )
    try:
        yield
    finally:
        _fields.reset(token)


class BoundLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that carries its fields itself: they stay on the line even in a thread the author started."""

    def __init__(self, logger: logging.Logger, fields: Mapping[str, Any]) -> None:
        super().__init__(logger, dict(fields))

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Hand the fields to the formatter, beside the caller's own `extra`."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), "operator_kit_fields": self.extra}
        return msg, kwargs


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    own = getattr(record, "operator_kit_fields", None)
    return {**current_fields(), **own} if isinstance(own, Mapping) else dict(current_fields())


class TextFormatter(logging.Formatter):
    """`20:19:57.123 INFO    website default/blog  message`: one line for people; a traceback follows on lines of its own.

    Args:
        colour: paint the level, for terminals.
    """

    _COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}  # noqa: RUF012  # a constant

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One record as text. Control characters in the message are shown, not obeyed."""
        fields = _fields_of(record)
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        level = f"{record.levelname:<7}"
        if self._colour:
            level = f"\x1b[{self._COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        subject = " ".join(part for part in (fields.get("controller", ""), _object(fields)) if part)
        place = f"{subject}  " if subject else ""
        line = f"{moment} {level} {place}{record.getMessage().translate(_CONTROL)}"
        if fields.get("reconcile_id") and record.levelno >= logging.WARNING:
            line += f"  [{fields['reconcile_id']}]"
        if record.exc_info:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return line


def _object(fields: Mapping[str, Any]) -> str:
    name = str(fields.get("name", ""))
    return f"{fields['namespace']}/{name}" if name and fields.get("namespace") else name


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, the bound fields, `error`, `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON. What has no JSON form is written as text."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields_of(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            document["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            document["traceback"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return json.dumps(document, ensure_ascii=False, default=str)


def configure(*, level: str = "info", format: str = "text", stream: TextIO | None = None) -> logging.Handler:  # noqa: A002  # the flag's name
    """Set up the root logger: one handler, to stderr unless told otherwise. A second call replaces what the first one set up.

    Args:
        level: `debug`, `info`, `warning` or `error`. Libraries other than operator-kit and the author's code stay at
            `warning` unless debugging.
        format: `text` or `json`.
        stream: where lines go.

    Returns:
        The handler, so that a test can take it off again.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.set_name("operator_kit")
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter(colour=target.isatty()))
    root = logging.getLogger()
    for other in [other for other in root.handlers if other.get_name() == "operator_kit"]:
        root.removeHandler(other)
    root.addHandler(handler)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    for noisy in ("urllib3", "kubernetes", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.INFO)
    return handler
