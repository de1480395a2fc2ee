"""The embedded API server: a house of its own; imports nothing of operator-kit but the ground floor.

`Sandbox` is loaded on first use, so that importing one part of the sandbox does not load aiohttp.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.sandbox.server import Sandbox

__all__ = ["Sandbox"]

# Of the extra `sandbox`: the last two are imported only where a definition has rules or patterns, which is too late to tell.
_NEEDED = ("aiohttp", "celpy", "re2")


def __getattr__(name: str) -> Any:
    if name == "Sandbox":
        for package in _NEEDED:
            if find_spec(package) is None:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        from operator_kit.sandbox.server import Sandbox

        return Sandbox
    raise AttributeError(f"module 'operator_kit.sandbox' has no attribute {name!r}")
