"""Kinds as classes: `class Website(CustomResource, group="example.com", version="v1")`, on pydantic.

A model says what a kind holds, once: `operator-kit crd` writes its CustomResourceDefinition from it, and `@reconciler(Website)`
hands the author's function objects that are parsed and typed. Needs the extra `models`; nothing in operator-kit imports pydantic
unless a model is used.
"""

from __future__ import annotations

try:
    import pydantic  # noqa: F401  # asked for first, so that its absence is told with the remedy
except ImportError as exc:
    raise ImportError(f"operator_kit.models needs {exc.name}: pip install 'operator-kit[models]'", name=exc.name) from None

from operator_kit.models.base import Condition, CustomResource, Metadata, Model, Status
from operator_kit.models.definition import Column, Definition, Scale, definition_of
from operator_kit.models.markers import Atomic, EmbeddedResource, ListMap, ListSet, PreserveUnknownFields, Rule
from operator_kit.models.types import Duration

__all__ = [
    "Atomic",
    "Column",
    "Condition",
    "CustomResource",
    "Definition",
    "Duration",
    "EmbeddedResource",
    "ListMap",
    "ListSet",
    "Metadata",
    "Model",
    "PreserveUnknownFields",
    "Rule",
    "Scale",
    "Status",
    "definition_of",
]
