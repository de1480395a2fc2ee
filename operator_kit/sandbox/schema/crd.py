"""CustomResourceDefinitions: the defaults the server writes and everything it finds wrong with one.

Where all versions share a schema, subresources, printer columns or selectable fields, the server speaks of them as of the
CRD's own (`spec.validation.…`, `spec.subresources.…`), and so does this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from operator_kit.sandbox.schema import fields, names
from operator_kit.sandbox.schema.crd_schema import validate_schema
from operator_kit.sandbox.schema.golang import Struct, quote
from operator_kit.sandbox.schema.paths import FieldPathError, field_path
from operator_kit.sandbox.schema.problems import same
from operator_kit.sandbox.schema.webhooks import check_client_config
from operator_kit.sandbox.status import Cause

__all__ = ["default_crd", "validate_crd"]

Object = dict[str, Any]

_APPROVAL = "api-approved.kubernetes.io"
_PULL = "https://github.com/kubernetes/enhancements/pull/1111"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_MOST_SELECTABLE = 8
_SHARED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def default_crd(crd: Object) -> None:
    """Write what the server writes into a CRD, in place: singular and list kind, conversion, the port of a webhook."""
    spec = crd.get("spec")
    if not isinstance(spec, dict):
        return
    given = spec.get("names")
    if isinstance(given, dict):
        kind = _text(given.get("kind"))
        if not given.get("singular"):
            given["singular"] = kind.lower()
        if not given.get("listKind") and kind:
            given["listKind"] = f"{kind}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    if conversion is None:
        spec["conversion"] = {"strategy": "None"}
    service = _map(_map(_map(conversion).get("webhook")).get("clientConfig")).get("service")
    if isinstance(service, dict):
        service.setdefault("port", 443)


def validate_crd(crd: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> list[Cause]:
    """Everything wrong with a defaulted CRD, but its metadata, in the server's words. `old`: as it was, for an update."""
    spec = _map(crd.get("spec"))
    causes = [] if old is not None else _name(crd, spec)
    causes += _spec(_hub(spec))
    if old is not None:
        causes += _immutable(spec, _map(old.get("spec")), established=_established(old))
    stored = _list(_map(crd.get("status")).get("storedVersions")) if old is not None else None
    causes += _stored_versions(stored, spec)
    causes += _approval(crd, old, _text(spec.get("group")))
    if spec.get("preserveUnknownFields") is True and _map(_map(old).get("spec")).get("preserveUnknownFields") is not True:
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        causes.append(fields.invalid("spec.preserveUnknownFields", True, text))
    return causes


def _hub(spec: Mapping[str, Any]) -> Object:
    """The spec as the server sees it inside: what all versions share is moved up."""
    hub = dict(spec)
    versions = [dict(_map(version)) for version in _list(spec.get("versions"))]
    hub["versions"] = versions
    if versions:
        for shared in _SHARED:
            if all(same(version.get(shared), versions[0].get(shared)) for version in versions):
                hub[shared] = versions[0].get(shared)
                for version in versions:
                    version.pop(shared, None)
    return hub


def _name(crd: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Cause]:
    meta = _map(crd.get("metadata"))
    wanted = f"{_text(_map(spec.get('names')).get('plural'))}.{_text(spec.get('group'))}"
    text = 'must be spec.names.plural+"."+spec.group'
    return [
        fields.invalid(f"metadata.{field}", meta[field], text)
        for field in ("generateName", "name")
        if meta.get(field) and meta[field] != wanted
    ]


def _spec(spec: Object) -> list[Cause]:
    causes = _group(_text(spec.get("group")))
    causes += _one_of("spec.scope", _text(spec.get("scope")), ("Cluster", "Namespaced"))
    versions: list[Object] = spec["versions"]
    if "openAPIV3Schema" not in _map(spec.get("schema")):
        for at, version in enumerate(versions):
            if not isinstance(_map(version.get("schema")).get("openAPIV3Schema"), Mapping):
                causes.append(fields.required(f"spec.versions[{at}].schema.openAPIV3Schema"))
    shared_subresources = _map(spec.get("subresources"))
    seen: set[str] = set()
    for at, version in enumerate(versions):
        name = _text(version.get("name"))
        problems = names.dns1035_label(name)
        if problems:
            causes.append(fields.invalid(f"spec.versions[{at}].name", name, ",".join(problems)))
        subresources = version.get("subresources") or shared_subresources
        causes += _version(version, f"spec.versions[{at}]", has_status="status" in _map(subresources))
        seen.add(name)
    if len(seen) != len(versions):
        causes.append(fields.invalid("spec.versions", _go_versions(versions), "must contain unique version names"))
    if sum(version.get("storage") is True for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        causes.append(fields.invalid("spec.versions", _go_versions(versions), text))
    causes += _names(_map(spec.get("names")))
    any_status = any("status" in _map(each.get("subresources")) for each in (spec, *versions))
    schema = _map(spec.get("schema")).get("openAPIV3Schema")
    if isinstance(schema, Mapping):
        causes += validate_schema(schema, "spec.validation.openAPIV3Schema", has_status=any_status)
    causes += _subresources(_map(spec.get("subresources")), "spec.subresources")
    causes += _columns(_list(spec.get("additionalPrinterColumns")), "spec.additionalPrinterColumns")
    causes += _selectable(_list(spec.get("selectableFields")), schema, "spec.selectableFields")
    return causes + _conversion(spec.get("conversion"))


def _go_versions(versions: list[Object]) -> list[Struct] | None:
    """The versions as the server prints them: its inner type, which has Go's field names."""
    return [
        Struct(
            Name=_text(version.get("name")),
            Served=version.get("served") is True,
            Storage=version.get("storage") is True,
            Deprecated=version.get("deprecated") is True,
            DeprecationWarning=version.get("deprecationWarning"),
            Schema=version.get("schema"),
            Subresources=version.get("subresources"),
            AdditionalPrinterColumns=version.get("additionalPrinterColumns"),
            SelectableFields=version.get("selectableFields"),
        )
        for version in versions
    ] or None


def _group(group: str) -> list[Cause]:
    if not group:
        return [fields.required("spec.group")]
    problems = names.dns1123_subdomain(group)
    if problems:
        return [fields.invalid("spec.group", group, ",".join(problems))]
    if "." not in group:
        return [fields.invalid("spec.group", group, "should be a domain with at least one dot")]
    return []


def _one_of(path: str, value: str, allowed: tuple[str, ...]) -> list[Cause]:
    if not value:
        return [fields.required(path)]
    return [] if value in allowed else [fields.not_supported(path, value, allowed)]


def _version(version: Object, path: str, *, has_status: bool) -> list[Cause]:
    causes = _deprecation(version, fields.child(path, "deprecationWarning"))
    schema = _map(version.get("schema")).get("openAPIV3Schema")
    if isinstance(schema, Mapping):
        causes += validate_schema(schema, fields.child(path, "schema", "openAPIV3Schema"), has_status=has_status)
    causes += _subresources(_map(version.get("subresources")), fields.child(path, "subresources"))
    causes += _columns(_list(version.get("additionalPrinterColumns")), fields.child(path, "additionalPrinterColumns"))
    return causes + _selectable(_list(version.get("selectableFields")), schema, fields.child(path, "selectableFields"))


def _deprecation(version: Object, path: str) -> list[Cause]:
    warning = version.get("deprecationWarning")
    if not isinstance(warning, str):
        return []
    if version.get("deprecated") is not True:
        return [fields.invalid(path, warning, "can only be set for deprecated versions")]
    problems = []
    if len(warning.encode("utf-8", "replace")) > 256:
        problems.append("must be <= 256 characters long")
    if not warning:
        problems.append("must not be an empty string")
    for at, char in enumerate(warning):
        if not char.isprintable():
            problems.append(f"must only contain printable UTF-8 characters; non-printable character found at index {at}")
            break
    return [fields.invalid(path, warning, problem) for problem in problems]


def _names(given: Mapping[str, Any]) -> list[Cause]:
    path = "spec.names"
    causes = [
        fields.required(fields.child(path, name)) for name in ("plural", "singular", "kind", "listKind") if not given.get(name)
    ]
    for name in ("plural", "singular", "kind", "listKind"):
        value = _text(given.get(name))
        mixed = name in {"kind", "listKind"}
        problems = names.dns1035_label(value.lower() if mixed else value) if value else []
        if problems:
            prefix = "may have mixed case, but should otherwise match: " if mixed else ""
            causes.append(fields.invalid(fields.child(path, name), value, prefix + ",".join(problems)))
    causes += _labels(given.get("shortNames"), fields.child(path, "shortNames"))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        text = "kind and listKind may not be the same"
        causes.append(fields.invalid(fields.child(path, "listKind"), given["listKind"], text))
    return causes + _labels(given.get("categories"), fields.child(path, "categories"))


def _labels(values: Any, path: str) -> list[Cause]:
    return [
        fields.invalid(fields.index(path, at), value, ",".join(problems))
        for at, value in enumerate(_list(values))
        if isinstance(value, str) and (problems := names.dns1035_label(value))
    ]


def _simple_path(value: str, path: str, *roots: str) -> list[Cause]:
    if not value.startswith("."):
        return [fields.invalid(path, value, "must be a simple json path starting with .")]
    if roots and not value.startswith(roots):
        where = f"either {' or '.join(roots)}" if len(roots) > 1 else roots[0]
        return [fields.invalid(path, value, f"should be a json path under {where.replace('. ', ' ').removesuffix('.')}")]
    return []


def _subresources(subresources: Mapping[str, Any], path: str) -> list[Cause]:
    scale = subresources.get("scale")
    if not isinstance(scale, Mapping):
        return []
    causes = []
    for name, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        where = fields.child(path, "scale", name)
        value = _text(scale.get(name))
        causes += _simple_path(value, where, root) if value else [fields.required(where)]
    selector = _text(scale.get("labelSelectorPath"))
    if selector:
        causes += _simple_path(selector, fields.child(path, "scale", "labelSelectorPath"), ".spec.", ".status.")
    return causes


def _columns(columns: list[Any], path: str) -> list[Cause]:
    causes = []
    for at, entry in enumerate(columns):
        column, where = _map(entry), fields.index(path, at)
        if not column.get("name"):
            causes.append(fields.required(fields.child(where, "name")))
        kind, form, json_path = (_text(column.get(name)) for name in ("type", "format", "jsonPath"))
        text = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not kind:
            causes.append(fields.required(fields.child(where, "type"), text))
        elif kind not in _COLUMN_TYPES:
            causes.append(fields.invalid(fields.child(where, "type"), kind, text))
        if form and form not in _COLUMN_FORMATS:
            causes.append(fields.invalid(fields.child(where, "format"), form, f"must be one of {','.join(_COLUMN_FORMATS)}"))
        where = fields.child(where, "JSONPath")
        causes += _simple_path(json_path, where) if json_path else [fields.required(where)]
    return causes


def _selectable(selectable: list[Any], schema: Any, path: str) -> list[Cause]:
    if not selectable:
        return []
    if not isinstance(schema, Mapping):
        return [fields.invalid(path, "", "may only be set when `version.schema.openAPIV3Schema` is not included")]
    causes = []
    unique: set[str] = set()
    for at, entry in enumerate(selectable):
        where = fields.child(fields.index(path, at), "jsonPath")
        json_path = _text(_map(entry).get("jsonPath"))
        if not json_path:
            causes.append(fields.required(where))
            continue
        try:
            steps, shown, found = field_path(json_path, schema, arrays=False)
        except FieldPathError as exc:
            causes.append(fields.invalid(where, json_path, f"is an invalid path: {exc}"))
            continue
        if steps[0] == "metadata":
            causes.append(fields.invalid(where, json_path, "must not point to fields in metadata"))
        if found.get("type") not in {"string", "boolean", "integer"}:
            text = "must point to a field of type string, boolean or integer. "
            causes.append(fields.invalid(where, json_path, f"{text}Enum string fields and strings with formats are allowed."))
        if shown in unique:
            causes.append(fields.duplicate(where, json_path))
        unique.add(shown)
    if len(unique) > _MOST_SELECTABLE:
        causes.append(fields.too_many(path, len(unique), _MOST_SELECTABLE))
    return causes


def _conversion(conversion: Any) -> list[Cause]:
    if not isinstance(conversion, Mapping):
        return []
    path = "spec.conversion"
    strategy = _text(conversion.get("strategy"))
    causes = _one_of(f"{path}.strategy", strategy, ("None", "Webhook"))
    webhook = _map(conversion.get("webhook"))
    config, versions = webhook.get("clientConfig"), _list(webhook.get("conversionReviewVersions"))
    if strategy != "Webhook":
        text = "should not be set when strategy is not set to Webhook"
        if config is not None:
            causes.append(fields.forbidden(f"{path}.webhookClientConfig", text))
        if versions:
            causes.append(fields.forbidden(f"{path}.conversionReviewVersions", text))
        return causes
    if not isinstance(config, Mapping):
        causes.append(fields.required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook"))
    else:
        causes += check_client_config(config, f"{path}.webhookClientConfig")
    if not versions:
        return [*causes, fields.required(f"{path}.conversionReviewVersions")]
    if not {"v1", "v1beta1"} & set(map(str, versions)):
        causes.append(fields.invalid(f"{path}.conversionReviewVersions", versions, "must include at least one of v1, v1beta1"))
    return causes


def _established(crd: Mapping[str, Any]) -> bool:
    conditions = map(_map, _list(_map(crd.get("status")).get("conditions")))
    return any(condition.get("type") == "Established" and condition.get("status") == "True" for condition in conditions)


def _immutable(spec: Mapping[str, Any], old: Mapping[str, Any], *, established: bool) -> list[Cause]:
    new_names, old_names = _map(spec.get("names")), _map(old.get("names"))
    causes = []
    if established:
        causes += fields.immutable("spec.scope", spec.get("scope"), old.get("scope"))
        causes += fields.immutable("spec.names.kind", new_names.get("kind"), old_names.get("kind"))
    causes += fields.immutable("spec.group", spec.get("group"), old.get("group"))
    return causes + fields.immutable("spec.names.plural", new_names.get("plural"), old_names.get("plural"))


def _stored_versions(stored: list[Any] | None, spec: Mapping[str, Any]) -> list[Cause]:
    """`stored`: the status of a CRD that is there; None for a new one, whose storage version the server puts in."""
    path = "status.storedVersions"
    versions = [_map(version) for version in _list(spec.get("versions"))]
    storage = next((version.get("name") for version in versions if version.get("storage") is True), None)
    if stored is None:
        return [] if storage is not None else [fields.invalid(path, None, "must have at least one stored version")]
    known = {version.get("name") for version in versions}
    causes = []
    for at, name in enumerate(stored):
        if name not in known:
            text = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a "
                f"storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            )
            causes.append(fields.invalid(fields.index(path, at), name, text))
    return causes


def _approval(crd: Mapping[str, Any], old: Mapping[str, Any] | None, group: str) -> list[Cause]:
    if not f".{group}".endswith((".k8s.io", ".kubernetes.io")):
        return []
    path = f"metadata.annotations[{_APPROVAL}]"
    value = _text(_map(_map(crd.get("metadata")).get("annotations")).get(_APPROVAL))
    if old is not None and value == _text(_map(_map(old.get("metadata")).get("annotations")).get(_APPROVAL)):
        return []
    what = f"protected groups must have approval annotation {quote(_APPROVAL)}"
    if not value:
        return [fields.required(path, f"{what}, see {_PULL}")]
    if value.startswith("unapproved"):
        return []
    parts = urlsplit(value)
    if parts.scheme and parts.netloc:
        return []
    return [fields.invalid(path, value, f'{what} with either a URL or a reason starting with "unapproved", see {_PULL}')]
