"""Kubernetes objects from what a test has at hand: files, directories, YAML text, dicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from operator_kit.codec import clone
from operator_kit.errors import ConfigError, yaml_problem
from operator_kit.objects import Object

__all__ = ["Source", "read_objects"]

Source = str | Path | Mapping[str, Any] | type[Any]
"""A file, a directory of them, YAML text (it has a line break), an object, or a model, for its CRD."""

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_FIRST = {"CustomResourceDefinition": 0, "Namespace": 1}


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a timestamp without quotes is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_objects(*sources: Source, folder: Path | None = None) -> list[Object]:
    """The objects of the sources, CRDs first, then namespaces, then the rest as it comes.

    Args:
        sources: what to read. A relative path that does not exist from here is looked for in `folder`.
        folder: where the test is.

    Raises:
        ConfigError: a file cannot be read or is no YAML, or a document is no object. It names the file.
    """
    objects = [obj for source in sources for obj in _read(source, folder)]
    return sorted(objects, key=lambda obj: _FIRST.get(obj["kind"], 2))


def _read(source: Source, folder: Path | None) -> Iterator[Object]:
    if isinstance(source, Mapping):
        yield from _objects(clone(dict(source)), "a dict")
        return
    if isinstance(source, type):
        yield from _definition(source)
        return
    if isinstance(source, str) and "\n" in source:
        yield from _parse(source, "the YAML text")
        return
    path = Path(source)
    if not path.exists() and folder is not None:
        path = folder / path
    files = [path]
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.suffix in _SUFFIXES and item.is_file())
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"cannot read {file}: {getattr(exc, 'strerror', None) or exc}") from None
        yield from _parse(text, str(file))


def _definition(model: type[Any]) -> list[Object]:
    from operator_kit.controller.typed import kind_of_model

    try:
        kind_of_model(model)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
    from operator_kit.generate import crds

    return crds(model)


def _parse(text: str, origin: str) -> Iterator[Object]:
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))  # a SafeLoader that reads timestamps as text
    except yaml.YAMLError as exc:
        raise ConfigError(f"{origin} is not YAML: {yaml_problem(exc)}") from None
    for document in documents:
        if document is not None:
            yield from _objects(document, origin)


def _objects(document: Any, origin: str) -> Iterator[Object]:
    if not isinstance(document, dict) or not document.get("apiVersion") or not document.get("kind"):
        raise ConfigError(f"{origin}: a document without apiVersion and kind is no Kubernetes object")
    if str(document["kind"]).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item, origin)
        return
    if not isinstance(document.setdefault("metadata", {}), dict):
        raise ConfigError(f"{origin}: {document['kind']} has metadata that is no mapping")
    yield document
