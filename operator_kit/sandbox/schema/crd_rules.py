"""Validation rules (`x-kubernetes-validations`) as a CRD states them: their form, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from operator_kit.sandbox.schema import fields
from operator_kit.sandbox.schema.paths import FieldPathError, field_path
from operator_kit.sandbox.status import Cause

__all__ = ["check_form"]

_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


def check_form(raw: Mapping[str, Any], rules: list[Any], path: str) -> list[Cause]:
    """What is wrong with the form of one schema's rules. `path` is the schema's."""
    causes: list[Cause] = []
    for at, rule in enumerate(rules):
        if isinstance(rule, Mapping):
            causes += _form(raw, rule, fields.index(fields.child(path, "x-kubernetes-validations"), at))
    return causes


def _has_newline(text: str) -> bool:
    return "\n" in text or "\r" in text


def _form(raw: Mapping[str, Any], rule: Mapping[str, Any], path: str) -> list[Cause]:
    causes = []
    names = ("rule", "message", "messageExpression", "fieldPath")
    given = [value if isinstance(value := rule.get(name), str) else "" for name in names]
    expression, message, message_expression, field_at = given
    if not expression.strip():
        causes.append(fields.required(fields.child(path, "rule"), "rule is not specified"))
    elif message and not message.strip():
        causes.append(fields.invalid(fields.child(path, "message"), message, "must be non-empty if specified"))
    elif _has_newline(message.strip()):
        causes.append(fields.invalid(fields.child(path, "message"), message, "must not contain line breaks"))
    elif _has_newline(expression.strip()) and not message.strip():
        text = "message must be specified if rule contains line breaks"
        causes.append(fields.required(fields.child(path, "message"), text))
    if message_expression and not message_expression.strip():
        text = "messageExpression must be non-empty if specified"
        causes.append(fields.required(fields.child(path, "messageExpression"), text))
    reason = rule.get("reason")
    if isinstance(reason, str) and reason not in _REASONS:
        causes.append(fields.not_supported(fields.child(path, "reason"), reason, _REASONS))
    where = fields.child(path, "fieldPath")
    if field_at and not field_at.strip():
        causes.append(fields.invalid(where, field_at, "must be non-empty if specified"))
    if _has_newline(field_at):
        causes.append(fields.invalid(where, field_at, "must not contain line breaks"))
    if field_at:
        try:
            field_path(field_at, raw)
        except FieldPathError:
            causes.append(fields.invalid(where, field_at, "must be a valid path"))
    return causes
