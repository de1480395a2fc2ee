"""Assembles and runs: settings, lifecycle, targets. Loaded on first use: the command line's help needs the exit codes alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from operator_kit.manager.exits import MEANINGS, ExitCode

if TYPE_CHECKING:
    from operator_kit.manager.manager import Manager
    from operator_kit.manager.targets import TargetError, load_targets

__all__ = ["MEANINGS", "ExitCode", "Manager", "TargetError", "load_targets"]

_HOME = {"Manager": "manager", "TargetError": "targets", "load_targets": "targets"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
