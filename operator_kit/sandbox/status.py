"""The answers a kube-apiserver gives when it says no: `metav1.Status` bodies, with its own words, reasons and details."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Cause", "StatusError"]


class Cause(NamedTuple):
    """One entry of `details.causes`: e.g. `("FieldValueRequired", "Required value", "spec.size")`."""

    reason: str
    message: str
    field: str


@dataclass
class StatusError(Exception):
    """A refusal, ready to be sent: HTTP code, machine-readable reason, text and details."""

    code: int
    reason: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The `v1.Status` document."""
        document: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            document["details"] = self.details
        document["code"] = self.code
        return document
