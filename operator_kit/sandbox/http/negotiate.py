"""Which form of answer a client takes: JSON or YAML, whole objects, metadata only, or tables; which discovery document.

The first alternative of `Accept` that the server can give wins, in the client's order of preference.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from operator_kit.sandbox.status import StatusError, not_acceptable

__all__ = ["ACCEPTED", "Accept", "alternatives", "choose"]

JSON = "application/json"
YAML = "application/yaml"
ACCEPTED = (JSON, YAML, "application/vnd.kubernetes.protobuf")
_WILD = frozenset({"*/*", "application/*", ""})


class Accept(NamedTuple):
    """One form of answer: the media type, and what objects are turned `into` (`Table`, `PartialObjectMetadata`, …)."""

    media: str = JSON
    into: str = ""
    group: str = ""
    version: str = ""


class _Alternative(NamedTuple):
    media: str
    parameters: dict[str, str]


def _quality(alternative: _Alternative) -> float:
    try:
        return float(alternative.parameters.get("q", "1"))
    except ValueError:
        return 0.0


@lru_cache(maxsize=256)
def alternatives(header: str) -> tuple[_Alternative, ...]:
    """The alternatives of an `Accept` header, the preferred ones first."""
    found = []
    for part in header.split(","):
        media, *pairs = (piece.strip() for piece in part.split(";"))
        parameters = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        found.append(_Alternative(media.lower(), parameters))
    return tuple(sorted(found, key=_quality, reverse=True))


_TRANSFORMS = frozenset({"Table", "PartialObjectMetadata", "PartialObjectMetadataList"})


@lru_cache(maxsize=256)
def choose(header: str) -> Accept:
    """What to answer a request for objects with. Raises 406 where nothing fits."""
    if not header:
        return Accept()
    for media, parameters in alternatives(header):
        into = parameters.get("as", "")
        if media in _WILD or media == JSON:
            chosen = JSON
        elif media in {YAML, "application/yml", "text/yaml"}:
            chosen = YAML
        else:
            continue
        if not into:
            return Accept(chosen)
        if into in _TRANSFORMS and parameters.get("g") == "meta.k8s.io" and parameters.get("v") in {"v1", "v1beta1"}:
            return Accept(chosen, into, "meta.k8s.io", parameters["v"])
    raise _refused()


def _refused() -> StatusError:
    return not_acceptable(ACCEPTED)
