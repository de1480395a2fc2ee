"""The one error of this room."""

from __future__ import annotations

from operator_kit.errors import UsageError

__all__ = ["SchemaError"]


class SchemaError(UsageError):
    """A model has no form in a CustomResourceDefinition. The message names the model, the field and the remedy."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem
