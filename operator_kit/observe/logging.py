"""Logs: text for people, JSON for machines, every line of a reconcile bound to its controller, object and reconcile id.

`bound(…)` binds fields to everything that is logged inside it, in the author's own modules too; the binding follows the code into
coroutines. Nothing is configured by importing; `configure` sets up the root logger, once, for the command line.

The fields are flat: `controller`, `kind`, `namespace`, `name`, `reconcile_id`, `attempt`, `reason`. Secrets have no business
in a log: objects are named, never printed, and what looks like a token or a password is taken out of every line (`redact`).

One event is one line. Only a traceback, or the stack of a thread that hangs (`extra=stack(…)`), follows on lines of its own, and
in JSON not even those.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from operator_kit.observe.redact import redact

__all__ = ["BoundLogger", "JsonFormatter", "TextFormatter", "as_line", "bound", "configure", "current_fields", "stack"]

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


def stack(frames: Iterable[str]) -> dict[str, Any]:
    """For `extra=`: the stack of some thread, one text for each frame, outermost first, to be logged with a line."""
    return {"operator_kit_stack": [str(frame) for frame in frames]}


def _message_of(record: logging.LogRecord) -> str:
    """The message, whatever it is: a line is not lost because its arguments do not fit."""
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001  # a str() of the caller's, a wrong placeholder
        text = f"{_text_of(record.msg)} (its arguments do not fit: {_text_of(record.args)})"
    return redact(text)


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # it is the caller's
        return f"<{type(value).__name__} without a text>"


def _traceback_of(error: BaseException) -> str:
    return redact("".join(traceback.format_exception(error)).rstrip())


def _frames_of(record: logging.LogRecord) -> list[str]:
    frames: list[str] = getattr(record, "operator_kit_stack", [])
    return [redact(frame) for frame in frames]


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
        self._second = (-1, "")  # the last one, and how it is written: asking for the local time costs as much as all the rest

    def format(self, record: logging.LogRecord) -> str:
        """One record as text. Control characters in the message are shown, not obeyed."""
        fields = _fields_of(record)
        second, written = self._second
        if second != int(record.created):
            second = int(record.created)
            written = datetime.fromtimestamp(second).astimezone().strftime("%H:%M:%S")
            self._second = (second, written)
        moment = f"{written}.{int(record.msecs):03}"
        level = f"{record.levelname:<7}"
        if self._colour:
            level = f"\x1b[{self._COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        subject = " ".join(_text_of(part) for part in (fields.get("controller", ""), _object(fields)) if part)
        place = f"{_shown(subject)}  " if subject else ""
        line = f"{moment} {level} {place}{_shown(_message_of(record))}"
        if fields.get("reconcile_id") and record.levelno >= logging.WARNING:
            line += f"  [{_shown(_text_of(fields['reconcile_id']))}]"
        lines = [line, *(f"    {_shown(frame)}" for frame in _frames_of(record))]
        if record.exc_info and record.exc_info[1] is not None:
            lines.append(_traceback_of(record.exc_info[1]))
        return "\n".join(lines)


def _shown(text: str) -> str:
    """The text with its control characters made visible."""
    return text if text.isprintable() else text.translate(_CONTROL)


def _object(fields: Mapping[str, Any]) -> str:
    name = str(fields.get("name", ""))
    return f"{fields['namespace']}/{name}" if name and fields.get("namespace") else name


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, the bound fields; `error` with `at`.

    Args:
        tracebacks: whether an exception comes with its traceback. Without, `at` says in which line it was raised.
    """

    def __init__(self, *, tracebacks: bool = True) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """One record as JSON, whatever it holds. What has no JSON form is written as text."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message_of(record),
        }
        document |= {str(name): _plain(value) for name, value in _fields_of(record).items() if name not in document}
        frames = _frames_of(record)
        if frames:
            document["stack"] = frames
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            document["error"] = redact(f"{type(error).__name__}: {_text_of(error)}")
            document["at"] = _place_of(error)
            if self._tracebacks:
                document["traceback"] = _traceback_of(error)
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return redact(_text_of(value))


def _place_of(error: BaseException) -> str:
    """The line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def as_line(text: str, level: int = logging.INFO) -> str:
    """What is said to a person outside of the log, as it is; as a line of JSON where the log is for machines."""
    if any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers):
        return JsonFormatter().format(logging.LogRecord("operator_kit.cli", level, "", 0, text, (), None))
    return text


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
    formatter = JsonFormatter(tracebacks=level == "debug") if format == "json" else TextFormatter(colour=target.isatty())
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for other in [other for other in root.handlers if other.get_name() == "operator_kit"]:
        root.removeHandler(other)
    root.addHandler(handler)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    for noisy in ("urllib3", "kubernetes", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.INFO)
    return handler
