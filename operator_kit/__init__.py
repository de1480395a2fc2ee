"""operator-kit: Kubernetes operators in Python, level-triggered and thread-based, on the official client.

This is the face: what an author imports, and nothing else. Names are loaded on first use (PEP 562), so that
`import operator_kit.queue` loads nothing of Kubernetes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.controller import (
        AsyncContext,
        AsyncTaskContext,
        Cached,
        Context,
        Registry,
        Result,
        TaskContext,
        every,
        index,
        on_shutdown,
        on_startup,
        reconciler,
    )
    from operator_kit.errors import PermanentError, TemporaryError

__version__ = "0.1.0"

__all__ = [
    "AsyncContext",
    "AsyncTaskContext",
    "Cached",
    "Context",
    "PermanentError",
    "Registry",
    "Result",
    "TaskContext",
    "TemporaryError",
    "__version__",
    "every",
    "index",
    "on_shutdown",
    "on_startup",
    "reconciler",
]

_HOME = {
    **dict.fromkeys(
        ("AsyncContext", "AsyncTaskContext", "Cached", "Context", "Registry", "Result", "TaskContext"), "operator_kit.controller"
    ),
    **dict.fromkeys(("every", "index", "on_shutdown", "on_startup", "reconciler"), "operator_kit.controller"),
    **dict.fromkeys(("PermanentError", "TemporaryError"), "operator_kit.errors"),
}


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'operator_kit' has no attribute {name!r}") from None
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
