"""Targets: the author's files, directories and modules, loaded so that what they register is collected.

A file is loaded as Python would run it: its directory is importable. A directory means every module in it, or the package it is.
Whatever goes wrong is a `TargetError` of one or two lines that names the author's file and line; the original exception is
its cause.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from operator_kit.controller import Registry, collect
from operator_kit.controller.blame import author_line, shown_path
from operator_kit.errors import RegistrationError, UsageError
from operator_kit.settings import suggest

__all__ = ["TargetError", "load_modules", "load_targets"]


class TargetError(UsageError):
    """A target that is not found, raises when it is imported, or registers nothing."""


def load_targets(targets: Iterable[str]) -> Registry:
    """Load the targets and return the registry of what they registered.

    Besides the module-level decorators, a `Registry` that a target keeps under a name of its own is collected too.

    Raises:
        TargetError: see there.
    """
    names = list(targets)
    modules, registry = load_modules(names)
    for module in modules:
        for value in list(vars(module).values()):
            if isinstance(value, Registry) and value is not registry:
                try:
                    registry.include(value)
                except RegistrationError as exc:
                    raise TargetError(f"{module.__name__}: {exc}") from exc
    if not len(registry):
        shown = ", ".join(names)
        raise TargetError(f'{shown}: no reconciler is registered; decorate a function with @reconciler("Kind")')
    return registry


def load_modules(targets: Iterable[str]) -> tuple[list[ModuleType], Registry]:
    """Load the targets, and return their modules and what the module-level decorators registered. Raises `TargetError`."""
    registry = Registry()
    with collect(registry):
        return [module for target in targets for module in _load(target)], registry


def _load(target: str) -> list[ModuleType]:
    path = Path(target)
    if path.is_dir():
        return _load_directory(path)
    if path.is_file():
        if path.suffix != ".py":
            raise TargetError(f"{target}: is not a Python file; a target is a .py file, a directory of them, or a module")
        return [_load_file(path)]
    if path.suffix == ".py" or "/" in target or not all(part.isidentifier() for part in target.split(".")):
        raise TargetError(f"{target}: no such file or directory{_near(path)}")
    return [_load_module(target)]


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; there is no directory {folder} either"
    others = [str(item) for item in folder.iterdir() if item.suffix == ".py" or item.is_dir()]
    hint = suggest(str(path), others) if others else ""
    return hint if "did you mean" in hint else ""


def _load_directory(folder: Path) -> list[ModuleType]:
    files = sorted(
        item for item in folder.glob("*.py") if not item.name.startswith(("_", "test_")) and item.name != "conftest.py"
    )
    if (folder / "__init__.py").is_file():
        folder = folder.resolve()
        _importable(folder.parent)
        return [_import(name) for name in (folder.name, *(f"{folder.name}.{item.stem}" for item in files))]
    if not files:
        raise TargetError(f"{folder}: there is no Python file in this directory")
    return [_load_file(item) for item in files]


def _load_file(path: Path) -> ModuleType:
    path = path.resolve()
    _importable(path.parent)
    name = path.stem
    known = sys.modules.get(name)
    if known is not None or not name.isidentifier() or name in sys.stdlib_module_names:
        # The stem belongs to something else; the file must still be loadable, and must not replace it.
        name = f"operator_kit_target_{abs(hash(str(path))):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path}: cannot be loaded as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as exc:
        sys.modules.pop(name, None)
        if isinstance(exc, KeyboardInterrupt):
            raise
        raise _explained(str(shown_path(path)), exc) from exc
    return module


def _load_module(name: str) -> ModuleType:
    _importable(Path.cwd())
    return _import(name)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (name == exc.name or name.startswith(f"{exc.name}.")):
            raise TargetError(f"{name}: no file, directory or module of this name") from exc
        raise _explained(name, exc) from exc
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise _explained(name, exc) from exc


def _importable(folder: Path) -> None:
    text = str(folder)
    if text not in sys.path:
        sys.path.insert(0, text)


def _explained(target: str, exc: BaseException) -> TargetError:
    """The error as one line: where in the author's code, and what."""
    if isinstance(exc, RegistrationError):
        return TargetError(str(exc))  # it names file and line itself
    if isinstance(exc, SyntaxError) and exc.filename:
        return TargetError(f"{shown_path(Path(exc.filename))}:{exc.lineno}: {type(exc).__name__}: {exc.msg}")
    what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    return TargetError(f"{author_line(exc) or target}: {what}")
