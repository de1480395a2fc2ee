"""How to reach a webhook (`clientConfig`): a URL, or a service of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from operator_kit.sandbox.schema import fields, names
from operator_kit.sandbox.status import Cause

__all__ = ["check_client_config"]

_FORM = "; desired format: https://host[/path]"


def check_client_config(config: Mapping[str, Any], path: str) -> list[Cause]:
    """What is wrong with a client configuration: exactly one way to reach the webhook, and that one well formed."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [fields.required(path, "exactly one of url or service is required")]
    if url is not None:
        return _url(str(url), fields.child(path, "url"))
    return _service(service if isinstance(service, Mapping) else {}, fields.child(path, "service"))


def _url(url: str, path: str) -> list[Cause]:
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        return [fields.required(path, f"url must be a valid URL: {exc}{_FORM}")]
    causes = []
    if parts.scheme != "https":
        causes.append(fields.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not parts.netloc:
        causes.append(fields.invalid(path, "", f"host must be specified{_FORM}"))
    if "@" in parts.netloc:
        causes.append(fields.invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL"))
    if parts.fragment:
        causes.append(fields.invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        causes.append(fields.invalid(path, parts.query, "query parameters are not permitted in the URL"))
    return causes


def _service(service: Mapping[str, Any], path: str) -> list[Cause]:
    causes = [fields.required(fields.child(path, name)) for name in ("name", "namespace") if not service.get(name)]
    port = service.get("port", 443)
    if isinstance(port, int) and names.port_number(port):
        text = f"port is not valid: {names.port_number(port)[0]}"
        causes.append(fields.invalid(fields.child(path, "port"), port, text))
    where, url_path = fields.child(path, "path"), service.get("path")
    if not isinstance(url_path, str) or url_path in {"", "/"}:
        return causes
    if url_path == "//":
        return [*causes, fields.invalid(where, url_path, "segment[0] may not be empty")]
    if not url_path.startswith("/"):
        causes.append(fields.invalid(where, url_path, "must start with a '/'"))
    for at, step in enumerate(url_path[1:].removesuffix("/").split("/")):
        problems = names.dns1123_subdomain(step) if step else ["may not be empty"]
        separator = ":" if step else ""
        causes += [fields.invalid(where, url_path, f"segment[{at}]{separator} {problem}") for problem in problems]
    return causes
