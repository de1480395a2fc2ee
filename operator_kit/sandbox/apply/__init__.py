"""Field ownership: server-side apply, and the managed fields of every other write, as kube-apiserver keeps them.

`server_side_apply` answers an apply patch; `update_managed_fields` does the bookkeeping of creates, replaces and other patches.
"""

from __future__ import annotations

from operator_kit.sandbox.apply.fieldset import FieldSet
from operator_kit.sandbox.apply.managed import Managed, update_managed_fields
from operator_kit.sandbox.apply.ssa import server_side_apply

__all__ = ["FieldSet", "Managed", "server_side_apply", "update_managed_fields"]
