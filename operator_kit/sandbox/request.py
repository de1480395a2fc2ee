"""One request as the engine sees it: verb, subject, who asks, and the options, read as strictly as the server reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from operator_kit.sandbox.status import Cause, bad_request, options_invalid

__all__ = ["ListOptions", "Query", "RequestInfo", "WriteOptions"]

_PROPAGATION = ("Background", "Foreground", "Orphan")
_VALIDATION = ("Ignore", "Warn", "Strict")


@dataclass(slots=True)
class RequestInfo:
    """What a request is about. `verb` is the API's (`list`, `watch`, `deletecollection` …), not HTTP's."""

    verb: str
    group: str = ""
    version: str = ""
    plural: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    user_agent: str = ""


class Query:
    """The parameters of a URL. Numbers and flags that cannot be read are 400, with the words of Go's `strconv`."""

    __slots__ = ("_values",)

    def __init__(self, text: str = "") -> None:
        self._values: Mapping[str, Sequence[str]] = parse_qs(text, keep_blank_values=True) if text else {}

    def text(self, name: str, default: str = "") -> str:
        """The first value of a parameter."""
        values = self._values.get(name)
        return values[0] if values else default

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return list(self._values.get(name, ()))

    def flag(self, name: str) -> bool:
        """Whether a flag is set: present and neither `false` nor `0`."""
        values = self._values.get(name)
        return values is not None and values[0].lower() not in {"false", "0"}

    def optional_flag(self, name: str) -> bool | None:
        """Like `flag`, None where it is absent or empty."""
        return self.flag(name) if self.text(name) else None

    def number(self, name: str) -> int | None:
        """A whole number, None where it is absent or empty."""
        text = self.text(name)
        if not text:
            return None
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        number = int(text)
        if not -(2**63) <= number < 2**63:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
        return number

    def __bool__(self) -> bool:
        return bool(self._values)


def parse_version(text: str) -> int | None:
    """A resourceVersion, or None where it is no number: what that means depends on the verb."""
    return int(text) if text.isascii() and text.isdigit() and int(text) < 2**64 else None


def _not_supported(name: str, value: str, supported: Sequence[str]) -> Cause:
    listed = ", ".join(f'"{word}"' for word in supported)
    return Cause("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {listed}', name)


@dataclass(slots=True)
class ListOptions:
    """The options of list, watch and deletecollection."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    match: str = ""
    watch: bool = False
    bookmarks: bool = False
    timeout: int | None = None
    send_initial: bool | None = None

    @classmethod
    def of(cls, query: Query) -> ListOptions:
        """From the URL. Raises 422 for options that contradict each other."""
        if not query:
            return cls()
        options = cls(
            query.text("labelSelector"),
            query.text("fieldSelector"),
            max(query.number("limit") or 0, 0),
            query.text("continue"),
            query.text("resourceVersion"),
            query.text("resourceVersionMatch"),
            query.flag("watch"),
            query.flag("allowWatchBookmarks"),
            query.number("timeoutSeconds"),
            query.optional_flag("sendInitialEvents"),
        )
        causes = options.problems()
        if causes:
            raise options_invalid("ListOptions", causes)
        return options

    def problems(self) -> list[Cause]:
        """What contradicts what, in the server's words."""
        if self.watch:
            return self._watch_problems()
        causes = []
        match = "resourceVersionMatch"
        if self.send_initial is not None:
            text = "Forbidden: sendInitialEvents is forbidden for list"
            causes.append(Cause("FieldValueForbidden", text, "sendInitialEvents"))
        if self.match:
            if not self.resource_version:
                text = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
                causes.append(Cause("FieldValueForbidden", text, match))
            if self.continue_:
                text = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
                causes.append(Cause("FieldValueForbidden", text, match))
            if self.match not in {"Exact", "NotOlderThan"}:
                causes.append(_not_supported(match, self.match, ["Exact", "NotOlderThan"]))
            if self.match == "Exact" and self.resource_version == "0":
                text = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
                causes.append(Cause("FieldValueForbidden", text, match))
        return causes

    def _watch_problems(self) -> list[Cause]:
        match = "resourceVersionMatch"
        if self.send_initial is None:
            if self.match:
                text = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
                return [Cause("FieldValueForbidden", text, match)]
            return []
        causes = []
        if self.match != "NotOlderThan":
            text = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            causes.append(Cause("FieldValueForbidden", text, match))
            if self.match:
                causes.append(_not_supported(match, self.match, ["NotOlderThan"]))
        if self.continue_:
            text = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
            causes.append(Cause("FieldValueForbidden", text, match))
        return causes


@dataclass(slots=True)
class WriteOptions:
    """The options of create, update, patch and delete.

    `manager` is the field manager, the user agent's name by default. `may_create` is asked, and raises 403, before an update or
    an apply creates what is not there: such a request was authorised as another verb. `admit` is told the resource, the object as
    it is to be stored, as it is stored (None if it is not there) and the subresource, and raises 403 for what must not be stored.
    """

    manager: str = ""
    manager_given: bool = False
    validation: str = "Warn"
    dry_run: bool = False
    force: bool | None = None
    grace: int | None = None
    propagation: str = ""
    orphan: bool | None = None
    precondition_uid: str | None = None
    precondition_version: str | None = None
    body_size: int = 0
    warnings: list[str] = field(default_factory=list)
    may_create: Callable[[], None] | None = None
    admit: Callable[[Any, Any, Any, str], None] | None = None

    @classmethod
    def of(cls, query: Query, user_agent: str, kind: str) -> WriteOptions:
        """From the URL; `kind` is what the server calls the options (`CreateOptions` …) when they are wrong."""
        options = cls(manager=(user_agent.split("/", 1)[0] or "unknown")[:128])
        if not query:
            return options
        causes = []
        dry_run = query.all("dryRun")
        if dry_run and dry_run != ["All"]:
            listed = ", ".join(f'"{word}"' for word in dry_run)
            causes.append(Cause("FieldValueNotSupported", f'Unsupported value: [{listed}]: supported values: "All"', "dryRun"))
        options.dry_run = bool(dry_run)
        manager = query.text("fieldManager")
        if manager:
            options.manager, options.manager_given = manager, True
            if len(manager.encode()) > 128:
                causes.append(Cause("FieldValueTooLong", "Too long: may not be more than 128 bytes", "fieldManager"))
            for position, char in enumerate(manager):
                if not char.isprintable():
                    text = f'Invalid value: "{manager}": should only contain printable characters (invalid at {position})'
                    causes.append(Cause("FieldValueInvalid", text, "fieldManager"))
        validation = query.text("fieldValidation")
        if validation:
            if validation not in _VALIDATION:
                causes.append(_not_supported("fieldValidation", validation, _VALIDATION))
            options.validation = validation
        options.force = query.optional_flag("force")
        options.grace = query.number("gracePeriodSeconds")
        options.orphan = query.optional_flag("orphanDependents")
        options.propagation = query.text("propagationPolicy")
        if causes:
            raise options_invalid(kind, causes)
        return options

    def check_patch(self, *, apply: bool) -> None:
        """The rules between patch type, manager and force. Raises 422."""
        causes = []
        if apply:
            if not self.manager_given:
                text = "Required value: is required for apply patch"
                causes.append(Cause("FieldValueRequired", text, "fieldManager"))
        elif self.force is not None:
            text = "Forbidden: may not be specified for non-apply patch"
            causes.append(Cause("FieldValueForbidden", text, "force"))
        if causes:
            raise options_invalid("PatchOptions", causes)

    def read_delete_body(self, body: Mapping[str, Any]) -> None:
        """Take over what a `DeleteOptions` body says. Raises 400 for wrong types."""
        preconditions = body.get("preconditions") or {}
        if not isinstance(preconditions, dict):
            raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions.preconditions of type v1.Preconditions")
        texts = (body.get("propagationPolicy"), preconditions.get("uid"), preconditions.get("resourceVersion"))
        if any(not isinstance(text, str | None) for text in texts):
            raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions of type string")
        grace, orphan = body.get("gracePeriodSeconds"), body.get("orphanDependents")
        if not isinstance(grace, int | None) or isinstance(grace, bool):
            raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions.gracePeriodSeconds of type int64")
        if not isinstance(orphan, bool | None):
            raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions.orphanDependents of type bool")
        self.propagation = texts[0] or self.propagation
        self.precondition_uid, self.precondition_version = texts[1], texts[2]
        self.grace = self.grace if grace is None else grace
        self.orphan = self.orphan if orphan is None else orphan
        dry_run = body.get("dryRun")
        if dry_run:
            if dry_run != ["All"]:
                raise options_invalid("DeleteOptions", [_not_supported("dryRun", str(dry_run), ["All"])])
            self.dry_run = True

    def check_delete(self) -> None:
        """The rules of the propagation policy. Raises 422."""
        causes = []
        if self.propagation and self.orphan is not None:
            text = f'Invalid value: "{self.propagation}": orphanDependents and deletionPropagation cannot be both set'
            causes.append(Cause("FieldValueInvalid", text, "propagationPolicy"))
        if self.propagation and self.propagation not in _PROPAGATION:
            causes.append(_not_supported("propagationPolicy", self.propagation, [*_PROPAGATION, "nil"]))
        if causes:
            raise options_invalid("DeleteOptions", causes)
