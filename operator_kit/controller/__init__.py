"""What an author writes and what runs it: registry, sources and predicates, workers, Context, outcome."""

from operator_kit.controller.async_context import AsyncContext
from operator_kit.controller.cached import Cached
from operator_kit.controller.context import Context
from operator_kit.controller.controller import Controller
from operator_kit.controller.events import EventRecorder
from operator_kit.controller.hooks import Hooks
from operator_kit.controller.limits import Limits
from operator_kit.controller.listers import Caches
from operator_kit.controller.outcome import Result
from operator_kit.controller.registered import Hook, Reconciler, Task
from operator_kit.controller.registry import (
    Registry,
    collect,
    default_registry,
    every,
    index,
    on_shutdown,
    on_startup,
    reconciler,
)
from operator_kit.controller.running import RunningKey
from operator_kit.controller.task_context import AsyncTaskContext, TaskContext
from operator_kit.controller.tasks import Runnable, TaskRunner

__all__ = [
    "AsyncContext",
    "AsyncTaskContext",
    "Cached",
    "Caches",
    "Context",
    "Controller",
    "EventRecorder",
    "Hook",
    "Hooks",
    "Limits",
    "Reconciler",
    "Registry",
    "Result",
    "Runnable",
    "RunningKey",
    "Task",
    "TaskContext",
    "TaskRunner",
    "collect",
    "default_registry",
    "every",
    "index",
    "on_shutdown",
    "on_startup",
    "reconciler",
]
