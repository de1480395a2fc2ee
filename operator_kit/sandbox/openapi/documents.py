"""The OpenAPI documents: the index and one document per group and version (v3), and all in one (v2).

They hold what clients read: kubectl looks for the paths of a resource (`explain`), for the parameters and patch types that
its patch operation takes (`apply`), and for schemas with their merge keys. Documents are made when first asked for and kept
until a CRD changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from operator_kit import codec
from operator_kit.objects import GVK
from operator_kit.sandbox.openapi.schemas import (
    META_SCHEMAS,
    Schema,
    builtin_schema_name,
    custom_schema,
    custom_schema_name,
    gvk_extension,
    list_schema,
    schemas_for,
)
from operator_kit.sandbox.registry import Registry, Served, Subresource

__all__ = ["Documents"]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_REF = "#/components/schemas/"
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_PARAMETERS = {
    "dryRun": "Whether changes are kept from being stored: All.",
    "fieldManager": "The name of the actor that makes these changes.",
    "fieldValidation": "What happens to unknown or duplicate fields: Ignore, Warn or Strict.",
    "force": "Whether an apply takes over the fields of others.",
    "resourceVersion": "A constraint on the versions that the request may be served from.",
    "resourceVersionMatch": "How resourceVersion is applied to lists.",
    "labelSelector": "A selector by labels.",
    "fieldSelector": "A selector by fields.",
    "limit": "The most items of one answer.",
    "continue": "The token of the next part of a list.",
    "watch": "Whether changes are streamed.",
    "allowWatchBookmarks": "Whether bookmarks are wanted in a watch.",
    "sendInitialEvents": "Whether a watch begins with what is there.",
    "timeoutSeconds": "How long the call may take.",
    "gracePeriodSeconds": "How long before the object is deleted.",
    "propagationPolicy": "What happens to dependents: Orphan, Background or Foreground.",
}
_TYPES = {
    "force": "boolean",
    "watch": "boolean",
    "allowWatchBookmarks": "boolean",
    "sendInitialEvents": "boolean",
    "limit": "integer",
    "timeoutSeconds": "integer",
    "gracePeriodSeconds": "integer",
}
_LIST = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)


class Documents:
    """The documents of one registry, cached until it changes. They are shared: not to be changed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._cache: dict[str, dict[str, Any]] = {}

    def index(self) -> dict[str, Any]:
        """What `/openapi/v3` answers: the documents and where they are, with a hash that changes with their content."""
        return self._cached("index", self._index)

    def v3(self, path: str) -> dict[str, Any] | None:
        """The document of a group and version, by its path: `api/v1`, `apis/apps/v1`. None when nothing is served there."""
        if path in self._roots():
            return self._cached(f"v3:{path}", lambda: _root_document(path))
        group, version = _group_version(path)
        if not version or not self._registry.has_version(group, version):
            return None
        return self._cached(f"v3:{path}", lambda: self._v3(group, version))

    def v2(self) -> dict[str, Any]:
        """What `/openapi/v2` answers as JSON: everything in one document."""
        return self._cached("v2", self._v2)

    def _cached(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._cache.clear()
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = make()
        return found

    def _group_versions(self) -> Iterator[tuple[str, str, str]]:
        for version in self._registry.versions(""):
            yield f"api/{version}", "", version
        for group in self._registry.groups():
            for version in self._registry.versions(group):
                yield f"apis/{group}/{version}", group, version

    def _index(self) -> dict[str, Any]:
        hashes = {path: self._hash(group, version) for path, group, version in self._group_versions()}
        hashes |= {path: _digest([path]) for path in self._roots()}
        paths = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={hashes[path]}"} for path in sorted(hashes)}
        return {"paths": paths}

    def _roots(self) -> list[str]:
        """The documents of the discovery paths: `api`, `apis` and those of the server's own groups."""
        groups = [f"apis/{group}" for group in self._registry.groups() if self._registry.is_builtin(group)]
        return ["api", "apis", *groups, "version"]

    def _hash(self, group: str, version: str) -> str:
        """Of what a document is made from, so that the index does not need the documents."""
        parts: list[Any] = [group, version]
        for served in self._registry.resources(group, version):
            schema = dict(served.crd.openapi) if served.crd is not None else None
            parts.append([served.kind, served.plural, sorted(served.subresources), schema])
        return _digest(parts)

    def _v3(self, group: str, version: str) -> dict[str, Any]:
        resources = list(self._registry.resources(group, version))
        paths: dict[str, Any] = {}
        for served in resources:
            paths.update(_resource_paths(served))
        custom = any(served.custom for served in resources)
        info = {"title": "Kubernetes CRD Swagger" if custom else "Kubernetes", "version": "v0.1.0" if custom else "1.36"}
        return {
            "components": {"schemas": dict(sorted(_schemas(resources).items()))},
            "info": info,
            "openapi": "3.0.0",
            "paths": paths,
        }

    def _v2(self) -> dict[str, Any]:
        definitions: dict[str, Any] = {}
        paths: dict[str, Any] = {}
        for _, group, version in self._group_versions():
            resources = list(self._registry.resources(group, version))
            for name, schema in _schemas(resources).items():
                definitions[name] = _as_v2(schema)
            for served in resources:
                for path, item in _resource_paths(served).items():
                    paths[path] = _path_as_v2(item)
        info = {"title": "Kubernetes", "version": "1.36"}
        return {"swagger": "2.0", "info": info, "paths": paths, "definitions": dict(sorted(definitions.items()))}


def _digest(value: Any) -> str:
    return hashlib.sha512(codec.dumps(value)).hexdigest().upper()


def _root_document(path: str) -> dict[str, Any]:
    """The document of a discovery path: that it can be read."""
    name = "".join(part[:1].upper() + part[1:] for part in path.removeprefix("apis/").removesuffix(".k8s.io").split("."))
    responses = {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}}
    get = {"description": "get available API versions", "operationId": f"get{name}APIGroup", "responses": responses}
    info = {"title": "Kubernetes", "version": "1.36"}
    return {"components": {"schemas": {}}, "info": info, "openapi": "3.0.0", "paths": {f"/{path}/": {"get": get}}}


def _group_version(path: str) -> tuple[str, str]:
    parts = path.strip("/").split("/")
    if len(parts) == 2 and parts[0] == "api":
        return "", parts[1]
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "apis" else ("", "")


def _schema_name(served: Served) -> str:
    return custom_schema_name(served.gvk) if served.custom else builtin_schema_name(served.gvk) or custom_schema_name(served.gvk)


def _schemas(resources: Iterable[Served]) -> dict[str, Schema]:
    served_here = list(resources)
    roots = {served.gvk for served in served_here if not served.custom}
    for served in served_here:
        for sub in served.subresources.values():
            roots.add(GVK(sub.group or served.group, sub.version or served.version, sub.kind))
    found = schemas_for(sorted(roots), ("meta.ObjectMeta", "meta.ListMeta", "meta.DeleteOptions", "meta.Status"))
    found[f"{_META}.Patch"] = META_SCHEMAS[f"{_META}.Patch"]
    for served in served_here:
        name = _schema_name(served)
        if served.crd is not None:
            found[name] = custom_schema(served.gvk, served.crd.openapi)
        if "list" in served.verbs:
            found[_list_name(served)] = list_schema(served.gvk, served.list_kind, name, served.plural)
    return found


def _list_name(served: Served) -> str:
    return f"{_schema_name(served).removesuffix(served.kind)}{served.list_kind}"


# ------------------------------------------------------------------------------------------------------------------------ paths


def _query(*names: str) -> list[dict[str, Any]]:
    return [
        {
            "description": _PARAMETERS[name],
            "in": "query",
            "name": name,
            "schema": {"type": _TYPES.get(name, "string"), "uniqueItems": True},
        }
        for name in names
    ]


def _path_parameter(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "uniqueItems": True}
    return {"description": description, "in": "path", "name": name, "required": True, "schema": schema}


def _content(schema: str, *types: str) -> dict[str, Any]:
    return {kind: {"schema": {"$ref": _REF + schema}} for kind in types}


def _camel(served: Served) -> str:
    """The group as operation names have it: `Apps`, `Coordination`, `ContractExampleCom`."""
    name = served.group or "core"
    short = name if served.custom else name.removesuffix(".k8s.io")
    return "".join(part[:1].upper() + part[1:] for part in short.split("."))


def _operation(
    served: Served,
    text: str,
    name: str,
    *,
    gvk: GVK,
    schema: str,
    parameters: tuple[str, ...],
    action: str,
    body: str = "",
    tail: str = "",
    everywhere: bool = False,
) -> dict[str, Any]:
    """One operation. `name` is the verb of its identifier, with what stands before the kind after a bar."""
    group = _camel(served)
    verb, _, middle = name.partition("|")
    scope = "Namespaced" if served.namespaced and not everywhere else ""
    made: dict[str, Any] = {
        "description": text,
        "operationId": f"{verb}{group}{served.version.capitalize()}{middle}{scope}{served.kind}{tail}",
        "parameters": _query(*parameters),
        "responses": {
            "200": {"content": _content(schema, "application/json", "application/yaml"), "description": "OK"},
            "401": {"description": "Unauthorized"},
        },
        "tags": [f"{group[:1].lower()}{group[1:]}_{served.version}"],
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk_extension(gvk),
    }
    if action == "patch":
        types = _PATCHES if served.custom else (*_PATCHES, _STRATEGIC)
        made["requestBody"] = {"content": _content(f"{_META}.Patch", *types), "required": True}
    elif body:
        made["requestBody"] = {"content": _content(body, "*/*"), "required": action in {"post", "put"}}
    return made


def _resource_paths(served: Served) -> dict[str, Any]:
    """The paths of a resource and of its subresources."""
    root = f"/apis/{served.group}/{served.version}" if served.group else f"/api/{served.version}"
    scoped = f"{root}/namespaces/{{namespace}}" if served.namespaced else root
    base = (
        [_path_parameter("namespace", "object name and auth scope, such as for teams and projects")] if served.namespaced else []
    )
    named = [_path_parameter("name", f"name of the {served.kind}"), *base]
    gvk, kind, schema = served.gvk, served.kind, _schema_name(served)
    paths: dict[str, Any] = {}
    collection: dict[str, Any] = {}
    single: dict[str, Any] = {}

    def add(item: dict[str, Any], verb: str, method: str, text: str, name: str, **more: Any) -> None:
        if verb in served.verbs:
            item[method] = _operation(served, text, name, **{"gvk": gvk, "schema": schema, "action": method, **more})

    listed, status, options = _list_name(served), f"{_META}.Status", f"{_META}.DeleteOptions"
    deleting = ("dryRun", "gracePeriodSeconds", "propagationPolicy")
    gone = {"schema": status, "body": options}
    add(collection, "list", "get", f"list objects of kind {kind}", "list", schema=listed, parameters=_LIST, action="list")
    add(collection, "create", "post", f"create a {kind}", "create", parameters=_WRITE, body=schema)
    text, action = f"delete collection of {kind}", "deletecollection"
    both = (*_LIST, *deleting)
    add(collection, action, "delete", text, "delete|Collection", parameters=both, action=action, **gone)
    add(single, "get", "get", f"read the specified {kind}", "read", parameters=("resourceVersion",))
    add(single, "update", "put", f"replace the specified {kind}", "replace", parameters=_WRITE, body=schema)
    add(single, "patch", "patch", f"partially update the specified {kind}", "patch", parameters=(*_WRITE, "force"))
    add(single, "delete", "delete", f"delete a {kind}", "delete", parameters=deleting, **gone)
    if collection:
        paths[f"{scoped}/{served.plural}"] = {**collection, "parameters": base}
    if single:
        paths[f"{scoped}/{served.plural}/{{name}}"] = {**single, "parameters": named}
    if served.namespaced and "list" in served.verbs:
        everywhere: dict[str, Any] = {}
        tail = "ForAllNamespaces"
        text = f"list objects of kind {kind}"
        more = {"schema": listed, "action": "list", "tail": tail, "everywhere": True}
        add(everywhere, "list", "get", text, "list", parameters=_LIST, **more)
        paths[f"{root}/{served.plural}"] = {**everywhere, "parameters": []}
    for sub in served.subresources.values():
        paths[f"{scoped}/{served.plural}/{{name}}/{sub.name}"] = {**_subresource(served, sub), "parameters": named}
    return paths


_SUBRESOURCE_VERBS = {
    "get": ("get", "read {} of the specified {}", "read"),
    "update": ("put", "replace {} of the specified {}", "replace"),
    "patch": ("patch", "partially update {} of the specified {}", "patch"),
    "create": ("post", "create {} of a {}", "create"),
}


def _subresource(served: Served, sub: Subresource) -> dict[str, Any]:
    """The operations of one subresource."""
    gvk = GVK(sub.group or served.group, sub.version or served.version, sub.kind)
    schema = _schema_name(served) if sub.kind == served.kind else builtin_schema_name(gvk) or custom_schema_name(gvk)
    item = {}
    for verb, (method, text, name) in _SUBRESOURCE_VERBS.items():
        if verb in sub.verbs:
            parameters = () if verb == "get" else (*_WRITE, "force") if verb == "patch" else _WRITE
            item[method] = _operation(
                served,
                text.format(sub.name, served.kind),
                name,
                gvk=served.gvk if served.custom else gvk,
                schema=schema,
                parameters=parameters,
                action=method,
                body=schema if method in {"put", "post"} else "",
                tail=sub.name.capitalize(),
            )
    return item


# --------------------------------------------------------------------------------------------------------------------------- v2

_NOT_IN_V2 = {"nullable", "anyOf", "oneOf", "not", "allOf", "default"}


def _as_v2(node: Any) -> Any:
    """A schema in the older form: other references, none of the words that it lacks."""
    if isinstance(node, list):
        return [_as_v2(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        return {"$ref": str(node["$ref"]).replace(_REF, "#/definitions/")}
    made: dict[str, Any] = {}
    inside = node.get("allOf")
    if isinstance(inside, list) and len(inside) == 1 and isinstance(inside[0], Mapping) and "$ref" in inside[0]:
        made["$ref"] = str(inside[0]["$ref"]).replace(_REF, "#/definitions/")
    for key, value in node.items():
        if key == "properties" and isinstance(value, Mapping):
            made[key] = {name: _as_v2(sub) for name, sub in value.items()}
        elif key not in _NOT_IN_V2:
            made[key] = _as_v2(value) if key in {"items", "additionalProperties"} else value
    if node.get("format") == "int-or-string":
        made["type"] = "string"
    return made


def _path_as_v2(item: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for method, operation in item.items():
        if method == "parameters":
            made[method] = [_parameter_as_v2(parameter) for parameter in operation]
            continue
        here = {key: value for key, value in operation.items() if key not in {"requestBody", "responses", "parameters"}}
        here["parameters"] = [_parameter_as_v2(parameter) for parameter in operation["parameters"]]
        content = operation.get("requestBody", {}).get("content", {})
        if content:
            first = next(iter(content.values()))["schema"]
            here["parameters"].insert(0, {"in": "body", "name": "body", "required": True, "schema": _as_v2(first)})
            here["consumes"] = list(content)
        here["produces"] = ["application/json", "application/yaml"]
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        here["responses"] = {
            "200": {"description": "OK", "schema": _as_v2(answer)},
            "401": {"description": "Unauthorized"},
        }
        made[method] = here
    return made


def _parameter_as_v2(parameter: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in parameter.items() if key != "schema"}
    return {**made, "type": parameter["schema"]["type"], "uniqueItems": True}
