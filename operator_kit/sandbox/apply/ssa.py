"""Server-side apply: merges what a manager wants into what is there, and keeps who owns what.

The result holds every field the manager applied; it loses every field the manager applied before, does not apply any more
and nobody else owns. A change of a field that another owner has is refused as a conflict, unless it is forced.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox.apply.changes import compare, merge, remove
from operator_kit.sandbox.apply.fieldset import FieldSet, path_text
from operator_kit.sandbox.apply.managed import (
    Entry,
    Managed,
    Owner,
    decode_kept,
    empty_object,
    keep_times_of_no_change,
    metadata_of,
    record_update,
    reset_fields,
    timestamp,
    without_entries,
)
from operator_kit.sandbox.apply.reconcile import reconcile
from operator_kit.sandbox.apply.typed import TypingError, equal, to_field_set, validate
from operator_kit.sandbox.shapes.conform import conform
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.structure import Structure

__all__ = ["server_side_apply"]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class _Conflicts(Exception):
    def __init__(self, found: dict[Owner, FieldSet]) -> None:
        super().__init__("conflict")
        self.found = found


def server_side_apply(
    live: Mapping[str, Any] | None,
    applied: Mapping[str, Any],
    *,
    manager: str,
    force: bool,
    api_version: str,
    structure: Structure,
    now: datetime,
    kind: str = "",
    subresource: str = "",
    has_status: bool = False,
    known_versions: Collection[str] | None = None,
) -> dict[str, Any]:
    """Apply a configuration and return the new object, with its `managedFields`; before defaults and validation.

    Args:
        live: the object as stored (in the request's version), None where there is none; not changed.
        applied: the request's body; not changed.
        manager: the field manager.
        force: take over the fields of others instead of failing.
        api_version: the request's API version, which the body must have.
        structure: the kind's structure.
        now: the time for the manager's entry.
        kind: the kind that the body must have; empty: any.
        subresource: `""` or `"status"`.
        has_status: whether the kind has a status subresource, so that the main resource cannot write the status.
        known_versions: the served API versions of the group; entries of others are dropped. None: all are kept.

    Raises:
        StatusError: 400 for a body of another kind or with managedFields, 409 with one `FieldManagerConflict` cause per field,
            500 (as the server) for a body that does not fit the structure.
    """
    try:
        return _server_side_apply(
            live,
            applied,
            _Request(manager, force, api_version, structure, kind, subresource, has_status, known_versions, timestamp(now)),
        )
    except RecursionError:
        raise StatusError(400, "BadRequest", "error decoding patch: exceeded max depth") from None


class _Request(NamedTuple):
    manager: str
    force: bool
    api_version: str
    structure: Structure
    kind: str
    subresource: str
    has_status: bool
    known_versions: Collection[str] | None
    time: str


def _server_side_apply(live: Mapping[str, Any] | None, applied: Mapping[str, Any], request: _Request) -> dict[str, Any]:
    api_version, structure, time = request.api_version, request.structure, request.time
    body_gvk = GVK.of(_text(applied.get("apiVersion")), _text(applied.get("kind")))
    if body_gvk.api_version != api_version or (request.kind and body_gvk.kind != request.kind):
        raise StatusError(400, "BadRequest", f"invalid object type: {_gvk_text(body_gvk)}")
    meta = metadata_of(applied)
    if isinstance(meta.get("managedFields"), list):
        raise StatusError(400, "BadRequest", "metadata.managedFields must be nil")
    base = without_entries(live) if live is not None else empty_object(api_version, body_gvk.kind, structure)
    owner = Owner(request.manager or "unknown", "Apply", "", request.subresource)
    reset = reset_fields(structure, request.subresource, has_status=request.has_status)
    try:
        managed = decode_kept(live)
    except ValueError as exc:
        raise StatusError(500, "", f"failed to decode managed fields: {exc}") from None
    try:
        managed.drop_versions(request.known_versions)
        if not managed.entries:
            first = Owner("before-first-apply", "Update", api_version, request.subresource)
            empty = empty_object(api_version, body_gvk.kind, structure)
            record_update(managed, empty, base, first, api_version=api_version, structure=structure, reset=reset, time=time)
        _check(applied, structure, body_gvk)
        for entry in managed.entries.values():
            entry.set_fields(reconcile(entry.fields, structure))
        run = partial(_apply, base, applied, owner, managed.entries, api_version=api_version, structure=structure, reset=reset)
        try:
            made, managed.entries = run(force=request.force)
        except _Conflicts as conflicts:
            _allow_client_side(conflicts, base, manager=request.manager, api_version=api_version, structure=structure)
            made, managed.entries = run(force=True)
    except _Conflicts as conflicts:
        raise _conflict_error(conflicts.found) from None
    except ValueError as exc:
        raise StatusError(500, "", f"failed to merge config: {exc}") from None
    unchanged = equal(base, made)
    managed.strip(owner)
    if owner in managed.entries and not unchanged:
        managed.entries[owner] = Entry(managed.entries[owner].fields, api_version, time)
    if unchanged and live is not None:
        made = without_entries(live)
    out: dict[str, Any] = codec.clone(made)
    if structure.name:
        conform(body_gvk, out)
    if request.manager == "kubectl":
        _sync_last_applied(out, applied)
    managed.write(out)
    keep_times_of_no_change(live, out)
    return out


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _gvk_text(gvk: GVK) -> str:
    return f"{gvk.group}/{gvk.version}, Kind={gvk.kind}"


def _check(applied: Mapping[str, Any], structure: Structure, gvk: GVK) -> None:
    try:
        validate(applied, structure)
    except TypingError as exc:
        meta = metadata_of(applied)
        name = f"{_text(meta.get('namespace'))}/{_text(meta.get('name'))}"
        raise StatusError(500, "", f"failed to create typed patch object ({name}; {_gvk_text(gvk)}): {exc}") from None


def _apply(
    live: Mapping[str, Any],
    applied: Mapping[str, Any],
    owner: Owner,
    entries: dict[Owner, Entry],
    *,
    api_version: str,
    structure: Structure,
    reset: FieldSet,
    force: bool,
) -> tuple[dict[str, Any], dict[Owner, Entry]]:
    """Merge, prune and settle the ownership. Raises `_Conflicts`; the entries given are not changed."""
    managed = Managed(entries).copy()
    merged = merge(live, applied, structure)
    last = managed.entries.get(owner)
    mine = to_field_set(applied, structure).without_trees(reset)
    managed.entries[owner] = Entry(mine, api_version, last.time if last is not None else None)
    if last is not None and not last.fields.empty():
        merged = _prune(merged, managed, last.fields, structure)
    made: dict[str, Any] = merged if isinstance(merged, dict) else {}
    changed = compare(live, made, structure).without(reset)
    conflicts = managed.conflicts(changed, owner)
    if conflicts and not force:
        raise _Conflicts(conflicts)
    managed.give_up(changed, owner)
    return made, managed.entries


def _prune(merged: Any, managed: Managed, last: FieldSet, structure: Structure) -> Any:
    """Take out what the manager applied last time and nobody owns now."""
    last = last.with_named_fields(structure)
    owned = FieldSet()
    for entry in managed.entries.values():
        owned = owned.union(entry.fields)
    there = to_field_set(merged, structure).with_named_fields(structure)
    pruned = remove(merged, last, structure)
    # Add back what others, or the new configuration, own …
    left = to_field_set(pruned, structure).with_named_fields(structure) if pruned is not None else FieldSet()
    pruned = remove(merged, there.difference(left.union(owned.with_named_fields(structure))), structure)
    # … and what the manager never owned.
    left = to_field_set(pruned, structure).with_named_fields(structure) if pruned is not None else FieldSet()
    return remove(merged, there.difference(left).intersection(last), structure)


def _conflict_error(found: dict[Owner, FieldSet]) -> StatusError:
    owners = sorted(found, key=lambda owner: owner.text)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner.describe()}", "field": path_text(path)}
        for owner in owners
        for path in found[owner].paths()
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = []
        for owner in owners:
            lines.append(f"conflicts with {owner.describe()}:")
            lines.extend(f"- {path_text(path)}" for path in found[owner].paths())
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return StatusError(409, "Conflict", message, {"causes": causes})


# -------------------------------------------------------------------------------------------------- kubectl's client-side apply


def _allow_client_side(
    conflicts: _Conflicts, live: Mapping[str, Any], *, manager: str, api_version: str, structure: Structure
) -> None:
    """Let `kubectl apply --server-side` take over what `kubectl apply` set.

    That is the fields of the last-applied annotation that still hold. Raises the conflicts that this does not explain.
    """
    if manager != "kubectl":
        raise conflicts
    annotations = metadata_of(live).get("annotations")
    written = annotations.get(LAST_APPLIED) if isinstance(annotations, Mapping) else None
    try:
        before = codec.loads(written) if isinstance(written, str) and written else None
        if not isinstance(before, dict) or before.get("apiVersion") != api_version:
            raise conflicts
        validate(before, structure)
        allowed = to_field_set(before, structure)
        changed = compare(before, live, structure)
    except (ValueError, RecursionError):
        raise conflicts from None
    allowed = allowed.difference(changed.modified).difference(changed.added).difference(changed.removed)
    left = {owner: fields.difference(allowed) for owner, fields in conflicts.found.items()}
    left = {owner: fields for owner, fields in left.items() if not fields.empty()}
    if left:
        raise _Conflicts(left)


def _sync_last_applied(made: dict[str, Any], applied: Mapping[str, Any]) -> None:
    """Keep the last-applied annotation, where there is one, in step with what kubectl applied."""
    annotations = metadata_of(made).get("annotations")
    if not isinstance(annotations, dict) or not annotations.get(LAST_APPLIED):
        return
    document = codec.clone(dict(applied))
    own = metadata_of(document).get("annotations")
    if isinstance(own, dict):
        own.pop(LAST_APPLIED, None)
    text = json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    annotations[LAST_APPLIED] = text
