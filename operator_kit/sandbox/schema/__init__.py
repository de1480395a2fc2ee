"""What kinds demand of their objects: CRD schemas compiled, CRDs themselves checked, built-in kinds defaulted and validated.

Everything speaks in the API server's words: the texts, reasons and paths of `details.causes` are those of kube-apiserver 1.36.
No function here raises anything but `StatusError` for what a client may send.
"""

from operator_kit.sandbox.schema.builtin import assign_service, default_builtin, label_job, validate_builtin
from operator_kit.sandbox.schema.compiled import Schema, compile_schema
from operator_kit.sandbox.schema.crd import default_crd, validate_crd

__all__ = [
    "Schema",
    "assign_service",
    "compile_schema",
    "default_builtin",
    "default_crd",
    "label_job",
    "validate_builtin",
    "validate_crd",
]
