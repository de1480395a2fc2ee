"""The status an author's function sets, gathered in memory and written once.

`StatusDraft` gathers fields and conditions and works out, against the status that is there, the smallest merge patch that
makes the difference; an empty one means no write. `write_status` sends it, onto the same uid and version only: where the
object moved on in the meantime it is read again and the difference worked out anew, so that nobody else's condition is
overwritten with an old one.

`observedGeneration` goes along with every write. By itself it is a reason to write only where the field is there already: a
schema that does not know it would drop it each time, and a converged object must not cost a write.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from operator_kit.codec import clone
from operator_kit.errors import Conflict, NotFound
from operator_kit.objects import Object, Resource, describe, metadata_of, name_of, namespace_of, resource_version_of, uid_of

if TYPE_CHECKING:
    from operator_kit.api import Client

__all__ = ["StatusDraft", "condition_of", "merge_difference", "merged", "timestamp", "write_status"]

_log = logging.getLogger("operator_kit.controller")
_TRIES = 4


def timestamp(moment: datetime) -> str:
    """RFC 3339 with whole seconds in UTC, as `metav1.Time` is written."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def condition_of(obj: Mapping[str, Any], kind: str) -> Object | None:
    """The condition of this type in `status.conditions`, or None."""
    status = obj.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if isinstance(conditions, list):
        for condition in conditions:
            if isinstance(condition, dict) and condition.get("type") == kind:
                return condition
    return None


def merged(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386): a new value, `None` deletes. Changes neither argument."""
    if not isinstance(patch, Mapping):
        return clone(patch)
    out = clone(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def merge_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    """The smallest merge patch that turns `old` into `new`; empty when they are equal."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            below = merge_difference(before, value)
            if below:
                patch[key] = below
        elif key not in old or before != value or isinstance(before, bool) is not isinstance(value, bool):
            patch[key] = clone(value)
    return patch


@dataclass(frozen=True, slots=True)
class _Condition:
    status: str
    reason: str
    message: str


@dataclass(slots=True)
class StatusDraft:
    """What one run wants in the status. Not for use by two threads at once."""

    fields: Object = field(default_factory=dict)
    conditions: dict[str, _Condition] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields or self.conditions)

    def set_condition(self, kind: str, status: bool | str | None, reason: str, message: str) -> None:
        """Want a condition. `status` is True, False, None (unknown), or the text itself."""
        if not kind:
            raise ValueError(f"a condition has a type in one CamelCase word, such as Available, not {kind!r}")
        text = status if isinstance(status, str) else {True: "True", False: "False", None: "Unknown"}.get(status)
        if text not in {"True", "False", "Unknown"}:
            raise ValueError(f"the status of condition {kind} is True, False or None (unknown), not {status!r}")
        if not reason:
            reason = {"True": kind, "False": f"Not{kind}", "Unknown": f"{kind}Unknown"}[text]
        self.conditions[kind] = _Condition(text, reason, message[:32768])

    def patch(self, live: Mapping[str, Any], generation: int, now: datetime) -> Object:
        """The merge patch for `status` that this draft needs on the live object; empty when nothing would change."""
        found = live.get("status")
        before: Object = found if isinstance(found, dict) else {}
        after = merged(before, self.fields)
        if self.conditions:
            after["conditions"] = self._conditions(before.get("conditions"), generation, now)
        if generation and "observedGeneration" not in self.fields and (after != before or "observedGeneration" in before):
            after["observedGeneration"] = generation
        return merge_difference(before, after)

    def _conditions(self, before: Any, generation: int, now: datetime) -> list[Any]:
        wanted = dict(self.conditions)
        out: list[Any] = []
        for old in before if isinstance(before, list) else []:
            want = wanted.pop(str(old.get("type")), None) if isinstance(old, dict) else None
            out.append(old if want is None else self._renewed(old, want, generation, now))
        for kind, want in wanted.items():
            out.append(self._renewed({"type": kind}, want, generation, now))
        return out

    @staticmethod
    def _renewed(old: Object, want: _Condition, generation: int, now: datetime) -> Object:
        """The condition as wanted; the very same when it says so already. The transition time moves with the status only."""
        same = (old.get("status"), old.get("reason"), old.get("message", "")) == (want.status, want.reason, want.message)
        if same and old.get("observedGeneration") in {None, generation}:
            return old
        new = {**old, "status": want.status, "reason": want.reason, "message": want.message}
        if old.get("status") != want.status or not old.get("lastTransitionTime"):
            new["lastTransitionTime"] = timestamp(now)
        if generation:
            new["observedGeneration"] = generation
        return new

    def take(self, condition: str) -> _Condition | None:
        """Forget everything, and return what was wanted of one condition."""
        wanted = self.conditions.get(condition)
        self.clear()
        return wanted

    def clear(self) -> None:
        """Forget everything: it is written."""
        self.fields = {}
        self.conditions = {}


def write_status(
    client: Client,
    kind: Resource,
    obj: Object,
    draft: StatusDraft,
    *,
    now: datetime,
    field_manager: str,
    timeout: float | None = None,
) -> Object | None:
    """Write what the draft wants onto the object, if anything would change.

    Args:
        client: the API server.
        kind: the object's kind.
        obj: the object the run was given; its uid and generation are those the status is about.
        draft: what is wanted; it is cleared once written.
        now: for transition times.
        field_manager: who writes.
        timeout: seconds one call may take.

    Returns:
        The object as the server holds it afterwards, or None when nothing was written: nothing would change, or the object is
        gone or another one of its name by now.

    Raises:
        ApiError, ConnectionFailed: the write failed. `Conflict` only after several tries.
    """
    uid, generation = uid_of(obj), int(metadata_of(obj).get("generation") or 0)
    live = obj
    for attempt in range(_TRIES):
        patch = draft.patch(live, generation, now)
        if not patch:
            draft.clear()
            return None
        body = {"metadata": {"uid": uid, "resourceVersion": resource_version_of(live)}, "status": patch}
        try:
            written = client.patch(
                kind,
                name_of(obj),
                namespace_of(obj) or None,
                body,
                type="merge",
                subresource="status",
                field_manager=field_manager,
                timeout=timeout,
            )
        except NotFound:
            break
        except Conflict:
            if attempt == _TRIES - 1:
                raise
            try:
                live = client.get(kind, name_of(obj), namespace_of(obj) or None, timeout=timeout)
            except NotFound:
                break
            if uid_of(live) != uid:
                break
            continue
        draft.clear()
        return written
    _log.debug("the status of %s is not written: the object it is about is gone", describe(obj))
    draft.clear()
    return None
