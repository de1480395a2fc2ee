"""Patches: JSON merge (RFC 7386), JSON patch (RFC 6902) and strategic merge, as kube-apiserver applies them.

`patch` takes a private copy of the live object, which it may change, and answers with the new one. Whatever is wrong with a
patch is a `StatusError` with the server's code and words. Apply patches are not here: see `operator_kit.sandbox.apply`.
"""

from __future__ import annotations

from typing import Any, Literal

from operator_kit import codec
from operator_kit.sandbox.patch.jsonpatch import json_patch
from operator_kit.sandbox.patch.merge import merge_patch
from operator_kit.sandbox.patch.strategic import strategic_merge
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.structure import DEDUCED, Structure

__all__ = ["PatchKind", "json_patch", "merge_patch", "patch", "strategic_merge"]

PatchKind = Literal["merge", "json", "strategic"]

_WANTED = {"merge": "map[string]interface {}", "json": "[]handlers.jsonPatchOp", "strategic": "map[string]interface {}"}


def patch(kind: PatchKind, live: dict[str, Any], body: bytes | str | Any, structure: Structure = DEDUCED) -> dict[str, Any]:
    """Apply a patch and return the new object.

    Args:
        kind: the patch type.
        live: a private copy of the object as it is: parts of it become the result.
        body: the patch, as sent (JSON text) or decoded.
        structure: the kind's structure; used by strategic patches only.

    Raises:
        StatusError: 400 for a patch that cannot be read, 422 for one that does not apply, 413 for one with too many operations.
    """
    try:
        document = _decode(kind, body)
        if kind == "json":
            patched = json_patch(live, document)
        elif kind == "merge":
            patched = merge_patch(live, document)
        else:
            patched = strategic_merge(live, codec.clone(document), structure)
    except RecursionError:
        raise StatusError(400, "BadRequest", "error decoding patch: exceeded max depth") from None
    if not isinstance(patched, dict):
        raise _not_an_object(patched)
    return patched


def _decode(kind: PatchKind, body: bytes | str | Any) -> Any:
    document = body
    prefix = "" if kind == "strategic" else "error decoding patch: "
    if isinstance(body, bytes | str):
        try:
            document = codec.loads(body)
        except ValueError as exc:
            raise StatusError(400, "BadRequest", f"{prefix}{exc}") from None
    if document is None and kind == "merge":
        raise StatusError(400, "BadRequest", "Invalid JSON Patch")
    if isinstance(document, list) and kind == "merge":
        return document
    if not isinstance(document, list if kind == "json" else dict):
        text = f"{prefix}json: cannot unmarshal {_json_type(document)} into Go value of type {_WANTED[kind]}"
        raise StatusError(400, "BadRequest", text)
    return document


def _json_type(value: Any) -> str:
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    return "null" if value is None else "number"


def _not_an_object(value: Any) -> StatusError:
    text = codec.dumps(value).decode()
    quoted = codec.dumps(text).decode()
    message = (
        f"Invalid value: {quoted}: json: cannot unmarshal {_json_type(value)} into Go value of type map[string]interface {{}}"
    )
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
    return StatusError(422, "Invalid", f' "" is invalid: patch: {message}', {"causes": [cause]})
