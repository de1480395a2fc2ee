"""The embedded API server: a house of its own; imports nothing of operator-kit but the ground floor.

`Sandbox` is loaded on first use, so that importing one part of the sandbox does not load aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operator_kit.sandbox.server import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    if name == "Sandbox":
        from operator_kit.sandbox.server import Sandbox

        return Sandbox
    raise AttributeError(f"module 'operator_kit.sandbox' has no attribute {name!r}")
