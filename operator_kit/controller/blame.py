"""Whose line it was: where in the author's own code an exception came from."""

from __future__ import annotations

import traceback
from pathlib import Path

__all__ = ["author_line", "shown_path"]

_OWN = Path(__file__).resolve().parent.parent


def author_line(error: BaseException) -> str:
    """`"website.py:31"`, the innermost line of the traceback that is the author's; empty when there is none.

    A line of an installed library counts only where there is none outside: the author's line that led to it says more.
    """
    # `<frozen …>` is the interpreter's, `<string>` what it generates, such as a dataclass's __init__.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    theirs = [frame for frame in frames if not Path(frame.filename).resolve().is_relative_to(_OWN)]
    local = [frame for frame in theirs if "site-packages" not in frame.filename and "lib/python" not in frame.filename]
    for frame in reversed(local or theirs):
        return f"{shown_path(Path(frame.filename))}:{frame.lineno}"
    return ""


def shown_path(path: Path) -> Path:
    """Relative to the working directory when it is below it."""
    cwd = Path.cwd()
    return path.relative_to(cwd) if path.is_relative_to(cwd) else path
