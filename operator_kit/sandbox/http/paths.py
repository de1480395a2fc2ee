"""What a URL path is about, and which API verb a method on it means.

/api/VERSION/…  /apis/GROUP/VERSION/…
    RESOURCE[/NAME[/SUBRESOURCE]]
    namespaces/NAMESPACE/RESOURCE[/NAME[/SUBRESOURCE]]
    watch/…                                     the old form of ?watch=1
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["Target", "api_verb", "parse"]

_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "HEAD": "get", "DELETE": "delete"}


class Target(NamedTuple):
    """What a path names. `named`: it goes to one object."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False


def parse(path: str) -> Target | None:
    """The target of a resource path, or None where the path is not one (`/apis`, `/version`, `/openapi/…`)."""
    parts = path.split("/")
    if len(parts) > 3 and parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    elif len(parts) > 4 and parts[1] == "apis":
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return None
    if rest[-1] == "" and len(rest) > 1:
        rest = rest[:-1]
    if not rest[0]:
        return None
    rest = [unquote(part) for part in rest] if "%" in path else rest
    watch = rest[0] == "watch" and len(rest) > 1
    if watch:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES and not group):
        namespace, rest = rest[1], rest[2:]
    plural = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    return Target(group, version, plural, namespace, name, "/".join(rest[2:]), watch)


def api_verb(method: str, target: Target, *, watch: bool) -> str:
    """The verb of a method: `get` on a collection is `list` or `watch`, `delete` is `deletecollection`."""
    verb = _VERBS.get(method, method.lower())
    if verb == "get" and (watch or target.watch) and not target.subresource:
        return "watch"
    if target.name:
        return verb
    return {"get": "list", "delete": "deletecollection"}.get(verb, verb)
