"""The models that a file, a directory or a module defines or uses."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from operator_kit.manager.targets import TargetError, load_modules
from operator_kit.models import CustomResource

__all__ = ["models_in"]


def models_in(targets: Iterable[str]) -> list[type[CustomResource]]:
    """The `CustomResource` classes that are names in the modules of the targets, in the order of their definition.

    Targets are as for `operator-kit run`; what they register is not run.

    Raises:
        TargetError: a target cannot be loaded, or has no model.
    """
    names = list(targets)
    modules, _ = load_modules(names)
    found = [model for module in modules for model in _models(module)]
    if not found:
        shown = ", ".join(names)
        raise TargetError(f'{shown}: no model is defined; write class Website(CustomResource, group="example.com", version="v1")')
    return list(dict.fromkeys(found))


def _models(module: ModuleType) -> list[type[CustomResource]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, CustomResource)
        and "__definition__" in vars(value)
        and value.__definition__
    ]
