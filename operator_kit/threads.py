"""Threads and coroutines seen from outside: whether one has ended, and where it is just now."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["coroutine_stack", "has_ended", "held_by", "thread_stack", "whereabouts"]

_OWN = str(Path(__file__).resolve().parent)
_LIBRARIES = ("site-packages", "lib/python")


def has_ended(thread: threading.Thread) -> bool:
    """Whether it was started and has ended. `is_alive` says no of one that is just being started, too."""
    return thread.ident is not None and thread not in threading.enumerate()


def thread_stack(thread: threading.Thread) -> list[str]:
    """The frames of a thread, outermost first: `file.py:12 in function: source line`. Empty when it does not run."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # documented, and there is no other way
    return [] if frame is None else _shown(traceback.extract_stack(frame))


def whereabouts(thread: threading.Thread) -> str:
    """The innermost frame of a thread that is neither ours nor a library's, or else the innermost. Empty when it does not run."""
    frames = thread_stack(thread)
    return ([frame for frame in frames if _is_theirs(frame)] or frames or [""])[-1]


def held_by(thread: threading.Thread) -> str:
    """`"function in file.py"`: which function that is neither ours nor a library's a thread is in. Empty when in none."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # as above
    while frame is not None:
        code = frame.f_code
        if _is_theirs(code.co_filename):
            return f"{code.co_name} in {Path(code.co_filename).name}"
        frame = frame.f_back
    return ""


def _is_theirs(frame: str) -> bool:
    return not frame.startswith((_OWN, "<")) and not any(part in frame for part in _LIBRARIES)


def coroutine_stack(coroutine: Any) -> list[str]:
    """The frames of a coroutine and of what it awaits, outermost first."""
    return _shown(traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _awaited(coroutine)))


def _awaited(awaitable: Any) -> Iterator[FrameType]:
    for _ in range(100):
        frame = next((frame for name in ("cr_frame", "gi_frame", "ag_frame") if (frame := getattr(awaitable, name, None))), None)
        if frame is None:
            return
        yield frame
        awaitable = next(
            (inner for name in ("cr_await", "gi_yieldfrom", "ag_await") if (inner := getattr(awaitable, name, None))), None
        )


def _shown(frames: traceback.StackSummary) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}".rstrip(": ") for frame in frames]
