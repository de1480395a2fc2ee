"""Request bodies: read up to the server's limit, decoded by content type, refused in the server's words.

JSON, YAML (as far as it is JSON) and Kubernetes' protobuf are understood for objects; patches have types of their own.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from aiohttp import web

from operator_kit import codec
from operator_kit.sandbox import protobuf
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.status import StatusError, bad_request, unsupported_media_type

__all__ = [
    "BODY_LIMIT",
    "decode_delete_options",
    "decode_object",
    "media_type",
    "patch_kind",
    "read_body",
    "read_yaml",
    "yaml_documents",
]

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes a request body may have."""
_JSON = "application/json"
_YAML = frozenset({"application/yaml", "application/yml", "text/yaml"})
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_OBJECT_TYPES = (_JSON, "application/yaml", _PROTOBUF)
_PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_DEPTH = 200


class _JsonLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C loader where libyaml is there
    """YAML as JSON sees it: dates stay text."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _JsonLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: bytes | str) -> Any:
    """One YAML document as JSON values. Raises `ValueError` for what is no YAML or no JSON."""
    try:
        documents = yaml_documents(text)
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ValueError(f"yaml: {str(exc).splitlines()[0]}") from None
    if len(documents) > 1:
        raise ValueError("yaml: expected a single document in the stream")
    return documents[0] if documents else None


def yaml_documents(text: bytes | str) -> list[Any]:
    """All documents of a YAML text, as JSON values. Raises `yaml.YAMLError` and `ValueError`."""
    depth = 0
    # The composer recurses in C, without a limit; the parser does not, and so can look first.
    for event in yaml.parse(text, Loader=_JsonLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEPTH:
                raise ValueError("yaml: exceeded max depth")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    budget = [2 * len(text) + 10_000]  # more values than characters: aliases of aliases
    documents = yaml.load_all(text, Loader=_JsonLoader)
    return [_plain(document, budget) for document in documents]


def _plain(value: Any, budget: list[int]) -> Any:
    """YAML's values as JSON's: keys are text, aliases are copies (as many as the budget allows)."""
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError("yaml: document contains excessive aliasing")
    if isinstance(value, dict):
        return {_key(key): _plain(item, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, budget) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        if isinstance(value, float) and not abs(value) < float("inf"):
            raise ValueError("yaml: a number that JSON does not have")
        return value
    raise ValueError(f"yaml: a value of type {type(value).__name__} that JSON does not have")


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return key if isinstance(key, str) else str(key)


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body. Raises 413 when it is larger than the server takes."""
    if not request.body_exists:
        return b""
    length = request.content_length
    if length is not None and length > BODY_LIMIT:
        raise _too_large()
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    if len(body) > BODY_LIMIT:
        raise _too_large()
    return body


def _too_large() -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}")


def media_type(header: str) -> str:
    """The bare media type of a `Content-Type` header."""
    return header.partition(";")[0].strip().lower()


def decode_object(body: bytes, content_type: str, served: Served) -> dict[str, Any]:
    """The object in a body. Raises 415 for types not understood, 400 for what is no object."""
    media = media_type(content_type)
    if media in {"", _JSON}:
        document = _json(body, served)
    elif media in _YAML:
        try:
            document = read_yaml(body)
        except ValueError as exc:
            raise _unrecognized(served, str(exc)) from None
    elif media == _PROTOBUF and not served.custom:
        return protobuf.decode(body)
    else:
        raise unsupported_media_type(_OBJECT_TYPES if not served.custom else _OBJECT_TYPES[:2])
    if not isinstance(document, dict):
        raise _unrecognized(served, f"couldn't get version/kind; json parse error: {_not_object(document)}")
    return document


def _json(body: bytes, served: Served) -> Any:
    try:
        return codec.loads(body)
    except ValueError as exc:
        shown = body.decode(errors="replace")
        raise _unrecognized(
            served, f"couldn't get version/kind; json parse error: {go_error(body, str(exc))} ({shown[:1024]})"
        ) from None


def _unrecognized(served: Served, why: str) -> StatusError:
    return bad_request(f"the object provided is unrecognized (must be of type {served.kind}): {why}")


def _not_object(document: Any) -> str:
    what = {str: "string", bool: "bool", list: "array", type(None): "null"}.get(type(document), "number")
    return f"json: cannot unmarshal {what} into Go value of type struct"


_AT = re.compile(r"\(char (\d+)\)")
# What json says, and what Go says, of a character that should not be there.
_GO_WORDS = {
    "Expecting property name": "looking for beginning of object key string",
    "Expecting ':'": "after object key",
    "Expecting ','": "after object key:value pair",
    "Extra data": "after top-level value",
}


def go_error(body: bytes, message: str) -> str:
    """A decoder's complaint in the words of Go's, as near as a position gives it."""
    text = body.decode("utf-8", "replace").rstrip()
    match = _AT.search(message)
    if not text or "Unterminated" in message or (match is not None and int(match[1]) >= len(text)):
        return "unexpected end of JSON input"
    if match is None:
        return message
    where = next((words for start, words in _GO_WORDS.items() if message.startswith(start)), "looking for beginning of value")
    return f"invalid character '{text[int(match[1])]}' {where}"


def patch_kind(content_type: str, served: Served) -> str:
    """`merge`, `json`, `strategic` or `apply`. Raises 415; custom resources know no strategic patch."""
    accepted = [media for media in _PATCHES if not (served.custom and "strategic" in media)]
    media = media_type(content_type)
    if media not in accepted:
        raise unsupported_media_type(accepted)
    return _PATCHES[media]


def decode_applied(body: bytes) -> dict[str, Any]:
    """The configuration in an apply patch: YAML, or JSON."""
    try:
        document = codec.loads(body) if body.lstrip()[:1] == b"{" else read_yaml(body)
    except ValueError:
        try:
            document = read_yaml(body)
        except ValueError as exc:
            raise bad_request(f"error decoding YAML: {exc}") from None
    if not isinstance(document, dict):
        raise bad_request("error decoding YAML: the document is not an object")
    return document


def decode_delete_options(body: bytes, content_type: str) -> dict[str, Any]:
    """The `DeleteOptions` of a delete; empty without a body."""
    if not body.strip():
        return {}
    media = media_type(content_type)
    if media == _PROTOBUF:
        return protobuf.decode(body)
    if media not in {"", _JSON, *_YAML}:
        raise unsupported_media_type(_OBJECT_TYPES)
    try:
        document = read_yaml(body) if media in _YAML else codec.loads(body)
    except ValueError as exc:
        raise bad_request(f"couldn't get version/kind; json parse error: {go_error(body, str(exc))}") from None
    if not isinstance(document, dict) or document.get("kind") not in (None, "", "DeleteOptions"):
        raise bad_request("the object provided is unrecognized (must be of type DeleteOptions)")
    return document
