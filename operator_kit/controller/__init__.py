"""What an author writes and what runs it: registry, sources and predicates, workers, Context, outcome."""

from operator_kit.controller.async_context import AsyncContext
from operator_kit.controller.context import Context
from operator_kit.controller.controller import Controller, Limits, RunningKey
from operator_kit.controller.events import EventRecorder
from operator_kit.controller.outcome import Result
from operator_kit.controller.registered import Reconciler
from operator_kit.controller.registry import Registry, collect, default_registry, reconciler

__all__ = [
    "AsyncContext",
    "Context",
    "Controller",
    "EventRecorder",
    "Limits",
    "Reconciler",
    "Registry",
    "Result",
    "RunningKey",
    "collect",
    "default_registry",
    "reconciler",
]
