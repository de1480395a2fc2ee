"""What a kind's own rules say of an object: unknown fields, defaults, validity, field ownership.

The seam between the write path, which treats all kinds alike, and the rooms that know them: `schema` for custom resources and the
built-in kinds' rules, `shapes` for the built-in kinds' fields, `apply` for managedFields.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from operator_kit.sandbox.apply import server_side_apply, update_managed_fields
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.schema import default_builtin, default_crd, validate_builtin, validate_crd
from operator_kit.sandbox.shapes.conform import conform as conform_builtin
from operator_kit.sandbox.status import Cause, StatusError, bad_request
from operator_kit.sandbox.structure import Structure

__all__ = ["conform", "own_apply", "own_update", "structure_of", "validate"]

Object = dict[str, Any]

_FREER = frozenset({"binding", "ephemeralcontainers", "resize"})
_CRD = "CustomResourceDefinition"


def structure_of(served: Served) -> Structure:
    """How lists and maps of the kind merge."""
    return served.crd.structure if served.crd is not None else Structure.for_builtin(served.gvk)


def conform(served: Served, obj: Object, options: WriteOptions, *, patch: str | None = None) -> None:
    """Give an object the form of its kind, in place: unknown fields away (and told, or refused), defaults written.

    `patch`: the text of the patch that made the object, for the wording of a refusal.
    """
    unknown = conform_builtin(served.gvk, obj) if served.crd is None else served.crd.schema.prune(obj)
    if unknown and options.validation != "Ignore":
        problems = [f'unknown field "{path}"' for path in unknown]
        if options.validation == "Strict":
            raise _strict(served, problems, patch)
        options.warnings.extend(problems)
    if served.crd is not None:
        served.crd.schema.default(obj)
    elif served.kind == _CRD:
        default_crd(obj)
    else:
        default_builtin(served.gvk, obj)


def _strict(served: Served, problems: Sequence[str], patch: str | None) -> StatusError:
    text = f"strict decoding error: {', '.join(problems)}"
    if patch is None:
        return bad_request(f'{served.kind} in version "{served.version}" cannot be handled as a {served.kind}: {text}')
    message = f'Invalid value: "{patch}": {text}'
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
    return StatusError(422, "Invalid", f' "" is invalid: patch: {message}', {"causes": [cause]})


def validate(served: Served, obj: Object, old: Object | None, prior: Sequence[Cause], *, subresource: str = "") -> list[Cause]:
    """Everything that is wrong with an object; `prior`: what is wrong with its metadata, which comes first."""
    if served.crd is not None:
        return [*prior, *served.crd.schema.validate(obj, old, prior, subresource=subresource)]
    if served.kind == _CRD:
        return [*prior, *validate_crd(obj, old)]
    # These may change what an update of the Pod itself may not.
    before = None if subresource in _FREER else old
    return [*prior, *validate_builtin(served.gvk, obj, before)]


def own_update(
    served: Served, old: Object | None, new: Object, options: WriteOptions, *, subresource: str, now: datetime
) -> None:
    """Write into the new object's managedFields what this write changed."""
    update_managed_fields(
        old,
        new,
        manager=options.manager,
        api_version=served.api_version,
        structure=structure_of(served),
        now=now,
        subresource=subresource,
        has_status=served.has_status,
    )


def own_apply(
    served: Served, live: Object | None, applied: Object, options: WriteOptions, *, subresource: str, now: datetime
) -> Object:
    """Merge an applied configuration into the live object."""
    return server_side_apply(
        live,
        applied,
        manager=options.manager,
        force=bool(options.force),
        api_version=served.api_version,
        kind=served.kind,
        structure=structure_of(served),
        now=now,
        subresource=subresource,
        has_status=served.has_status,
    )
