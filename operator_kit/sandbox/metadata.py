"""The rules of `metadata`, the same for every kind: names, labels, annotations, finalizers, owner references, what cannot change.

Complaints are `Cause`s in the server's words. What the server fills in (uid, timestamps, generated names) is filled in here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.status import Cause
from operator_kit.selectors import label_key_problems, label_value_problems

__all__ = [
    "check_new",
    "check_types",
    "check_update",
    "drop_empty",
    "generated_name",
    "keep_system_fields",
    "new_uid",
    "timestamp",
]

Object = dict[str, Any]

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_RULES = {
    "subdomain": (253, _SUBDOMAIN, _SUBDOMAIN_TEXT),
    "label": (63, _LABEL, _LABEL_TEXT),
    "label1035": (63, _LABEL_1035, _LABEL_1035_TEXT),
}
_ANNOTATIONS_LIMIT = 256 * 1024
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_TEXT_FIELDS = ("name", "namespace", "generateName", "uid", "resourceVersion", "selfLink")
_TEXT_MAPS = ("labels", "annotations")
_SYSTEM_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def timestamp(moment: datetime) -> str:
    """A moment as the server writes it: UTC, whole seconds."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def new_uid() -> str:
    """A fresh uid: a random UUID. Many are made, and nobody needs to be unable to guess one."""
    digits = f"{random.getrandbits(128):032x}"  # names, not secrets
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"


def generated_name(base: str) -> str:
    """`generateName` with five characters that make no words."""
    return base[:58] + "".join(random.choices(_ALPHABET, k=5))  # noqa: S311  # names, not secrets


def _go(value: Any) -> str:
    """A value as the server quotes it in a complaint."""
    return codec.dumps(value).decode()


def _invalid(field: str, value: Any, text: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {_go(value)}: {text}", field)


def name_problems(rule: str, name: str, *, prefix: bool = False) -> list[str]:
    """What is wrong with a name under a rule; `prefix`: it is a `generateName`, to which characters will be added."""
    if rule == "path":
        if name in {".", ".."}:
            return [f"may not be '{name}'"]
        return [f"may not contain '{char}'" for char in "/%" if char in name]
    limit, pattern, text = _NAME_RULES[rule]
    problems = []
    tested = f"{name[:-1]}a" if prefix and name.endswith("-") else name
    if len(name) > limit:
        problems.append(f"must be no more than {limit} bytes")
    if not pattern.fullmatch(tested):
        problems.append(text)
    return problems


def check_types(meta: Any) -> str | None:
    """What the server's decoder says of metadata whose fields have wrong types, or None when they have the right ones."""
    if not isinstance(meta, dict):
        return f"cannot unmarshal {_json_type(meta)} into Go struct field .metadata of type v1.ObjectMeta"
    for field in _TEXT_FIELDS:
        if not isinstance(meta.get(field, ""), str | None):
            return f"cannot unmarshal {_json_type(meta[field])} into Go struct field ObjectMeta.metadata.{field} of type string"
    for field in _TEXT_MAPS:
        value = meta.get(field)
        if value is None:
            continue
        if not isinstance(value, dict):
            return (
                f"cannot unmarshal {_json_type(value)} into Go struct field ObjectMeta.metadata.{field} of type map[string]string"
            )
        for item in value.values():
            if not isinstance(item, str | None):
                return f"cannot unmarshal {_json_type(item)} into Go struct field ObjectMeta.metadata.{field} of type string"
    return _check_lists(meta)


def _check_lists(meta: Object) -> str | None:
    for field, of, name in (
        ("finalizers", str, "[]string"),
        ("ownerReferences", dict, "[]v1.OwnerReference"),
        ("managedFields", dict, "[]v1.ManagedFieldsEntry"),
    ):
        value = meta.get(field)
        if value is None:
            continue
        if not isinstance(value, list):
            return f"cannot unmarshal {_json_type(value)} into Go struct field ObjectMeta.metadata.{field} of type {name}"
        for item in value:
            if not isinstance(item, of):
                return f"cannot unmarshal {_json_type(item)} into Go struct field ObjectMeta.metadata.{field} of type {name[2:]}"
    for reference in meta.get("ownerReferences") or ():
        for field in ("apiVersion", "kind", "name", "uid"):
            if not isinstance(reference.get(field, ""), str):
                what = _json_type(reference[field])
                return (
                    f"cannot unmarshal {what} into Go struct field OwnerReference.metadata.ownerReferences.{field} of type string"
                )
        for field in ("controller", "blockOwnerDeletion"):
            if not isinstance(reference.get(field, False), bool | None):
                what = _json_type(reference[field])
                return (
                    f"cannot unmarshal {what} into Go struct field OwnerReference.metadata.ownerReferences.{field} of type bool"
                )
    return None


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    for of, name in ((str, "string"), (dict, "object"), (list, "array"), (type(None), "null")):
        if isinstance(value, of):
            return name
    return "number"


def drop_empty(meta: Object) -> None:
    """Take out what the server does not write: empty texts, maps and lists, and nulls."""
    for field in [field for field, value in meta.items() if value is None or value in ("", [], {})]:
        del meta[field]
    for field in _TEXT_MAPS:
        values = meta.get(field)
        if values and None in values.values():
            meta[field] = {key: "" if value is None else value for key, value in values.items()}


def _labels(labels: Mapping[str, str], field: str) -> Iterator[Cause]:
    for key, value in labels.items():
        for problem in label_key_problems(key):
            yield _invalid(field, key, problem)
        for problem in label_value_problems(value):
            yield _invalid(field, value, problem)


def _annotations(annotations: Mapping[str, str], field: str) -> Iterator[Cause]:
    for key in annotations:
        for problem in label_key_problems(key.lower()):
            yield _invalid(field, key, problem)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes", field)


def _owners(references: list[Object], field: str) -> Iterator[Cause]:
    controller = ""
    for reference in references:
        group, _, version = str(reference.get("apiVersion", "")).rpartition("/")
        if not version:
            yield _invalid(f"{field}.apiVersion", reference.get("apiVersion", ""), "version must not be empty")
        for name in ("kind", "name", "uid"):
            if not reference.get(name):
                yield _invalid(f"{field}.{name}", "", "must not be empty")
        if (group, version, reference.get("kind")) == ("", "v1", "Event"):
            yield _invalid(field, reference, "/v1, Kind=Event is disallowed from being an owner")
        if reference.get("controller") is True:
            current = f"{reference.get('kind')}/{reference.get('name')}"
            if controller:
                text = 'Only one reference can have Controller set to true. Found "true" in references for '
                yield _invalid(field, references, f"{text}{controller} and {current}")
            controller = controller or current


def _finalizers(finalizers: list[str], field: str) -> Iterator[Cause]:
    for finalizer in finalizers:
        for problem in label_key_problems(finalizer):
            yield _invalid(field, finalizer, problem)
    if _ORPHAN in finalizers and _FOREGROUND in finalizers:
        yield _invalid(field, finalizers, f"finalizer {_ORPHAN} and {_FOREGROUND} cannot be both set")


def _common(meta: Object) -> Iterator[Cause]:
    if meta.get("labels"):
        yield from _labels(meta["labels"], "metadata.labels")
    if meta.get("annotations"):
        yield from _annotations(meta["annotations"], "metadata.annotations")
    if meta.get("ownerReferences"):
        yield from _owners(meta["ownerReferences"], "metadata.ownerReferences")


def check_new(meta: Object, rule: str) -> list[Cause]:
    """What is wrong with the metadata of an object to be created, its name generated already."""
    causes = []
    prefix = meta.get("generateName")
    if prefix:
        causes += [_invalid("metadata.generateName", prefix, text) for text in name_problems(rule, prefix, prefix=True)]
    name = meta.get("name")
    if not name:
        causes.append(Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name"))
    else:
        causes += [_invalid("metadata.name", name, text) for text in name_problems(rule, name)]
    causes += _common(meta)
    if meta.get("finalizers"):
        causes += _finalizers(meta["finalizers"], "metadata.finalizers")
    return causes


def check_update(new: Object, old: Object) -> list[Cause]:
    """What is wrong with changed metadata.

    The server checks it twice (once for all kinds, once per kind), so complaints come twice.
    """
    causes = []
    if old.get("deletionTimestamp"):
        extra = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if extra:
            listed = ", ".join(map(_go, extra))
            text = "no new finalizers can be added if the object is being deleted, found new finalizers "
            causes.append(Cause("FieldValueForbidden", f"Forbidden: {text}[]string{{{listed}}}", "metadata.finalizers"))
    elif new.get("finalizers") != old.get("finalizers"):
        causes += _finalizers(new.get("finalizers") or [], "metadata.finalizers")
    for field in ("name", "namespace"):
        if new.get(field) != old.get(field):
            causes.append(_invalid(f"metadata.{field}", new.get(field, ""), "field is immutable"))
    if any(new.get(field) != old.get(field) for field in ("labels", "annotations", "ownerReferences")):
        causes += _common(new)
    return causes * 2


def keep_system_fields(new: Object, old: Object) -> None:
    """What an update cannot change is what it was: uid, timestamps of creation and deletion, generation."""
    for field in _SYSTEM_FIELDS:
        if field in old:
            new[field] = old[field]
        else:
            new.pop(field, None)
    if "generateName" in old:
        new.setdefault("generateName", old["generateName"])
    new.pop("selfLink", None)
