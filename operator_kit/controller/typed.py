"""Kinds given as classes: what a reconciler needs of a model. `operator_kit.models` has such classes, made with pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from operator_kit.controller.status import condition_of
from operator_kit.errors import InvalidObject
from operator_kit.objects import GVK

if TYPE_CHECKING:
    from operator_kit.controller.context import Context
    from operator_kit.controller.scope import Run

__all__ = ["INVALID_CONDITION", "ObjectModel", "kind_of_model", "parse"]

INVALID_CONDITION = "Invalid"


class ObjectModel(Protocol):
    """A class whose instances are objects of one kind."""

    @classmethod
    def from_dict(cls, obj: Mapping[str, Any], /) -> Any:
        """Parse an object, sharing nothing with it. Raises `InvalidObject` when it does not fit."""


def kind_of_model(model: type[Any]) -> str:
    """`"example.com/v1/Website"`. Raises `ValueError` for a class that is no kind."""
    gvk = getattr(getattr(model, "__definition__", None), "gvk", None)
    if not isinstance(gvk, GVK):
        name = model.__name__
        raise ValueError(f'the class {name} is no kind; write class {name}(CustomResource, group="example.com", version="v1")')
    return str(gvk)


def parse(model: type[ObjectModel], run: Run, context: Context, *, report: bool) -> Any:
    """The run's object as its model; what does not fit becomes the condition `Invalid`, which goes False once it does.

    Args:
        model: the class.
        run: its object is not changed, nor shared.
        context: the condition is set on it, to be written at the end of the run.
        report: whether the kind takes conditions.

    Raises:
        InvalidObject: it does not fit: trying again is useless until the object changes.
    """
    meta = {key: value for key, value in run.obj["metadata"].items() if key != "managedFields"}
    try:
        parsed = model.from_dict({**run.obj, "metadata": meta})
    except InvalidObject as exc:
        if report:
            context.set_condition(INVALID_CONDITION, True, reason=exc.reason, message=str(exc))
        raise
    before = condition_of(run.obj, INVALID_CONDITION) if report else None
    if before is not None and before.get("status") == "True":
        context.set_condition(INVALID_CONDITION, False, reason="Valid")
    return parsed
