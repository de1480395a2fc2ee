"""`ctx.reason`: why a run came about, for logs alone."""

from __future__ import annotations

from typing import Never

from operator_kit.errors import UsageError

__all__ = ["Reason"]


class Reason:
    """Why a run came about, as a text for people: `"created"`, `"ConfigMap default/page modified"`, `"resync"`.

    It may be printed and logged, and not compared: any number of changes cost one run, which is told the last reason alone. What
    is to be done follows from how the object and its surroundings are.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return repr(self._text)

    def __eq__(self, other: object) -> Never:
        raise UsageError(
            "ctx.reason is for logs: several changes cost one run, which is told the last reason alone; decide by what is there"
        )

    __hash__ = None  # type: ignore[assignment]  # no key of a table of what to do, either
