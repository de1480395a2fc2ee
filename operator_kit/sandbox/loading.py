"""Objects from YAML files into an engine: CRDs first, then namespaces, then the rest in the order of the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from operator_kit.errors import ConfigError, yaml_problem
from operator_kit.objects import describe
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.http.bodies import yaml_documents
from operator_kit.sandbox.request import WriteOptions
from operator_kit.sandbox.status import StatusError

__all__ = ["Document", "load_into", "read_documents"]

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_MANAGER = "sandbox-load"


class Document(NamedTuple):
    """One object and the file it came from."""

    file: Path
    obj: dict[str, Any]


def read_documents(path: Path) -> Iterator[Document]:
    """The objects of a file, or of the YAML and JSON files in a directory (and below), by name. Raises `ConfigError`."""
    if path.is_dir():
        for file in sorted(item for item in path.rglob("*") if item.suffix in _SUFFIXES and item.is_file()):
            yield from _read_file(file)
    else:
        yield from _read_file(path)


def _read_file(file: Path) -> Iterator[Document]:
    try:
        text = file.read_text(encoding="utf-8")
        documents = yaml_documents(text)
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror or exc}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ConfigError(f"{file} is not YAML: {yaml_problem(exc)}") from None
    for document in documents:
        if document is None:
            continue
        if (
            isinstance(document, dict)
            and str(document.get("kind", "")).endswith("List")
            and isinstance(document.get("items"), list)
        ):
            for item in document["items"]:
                yield Document(file, _object(file, item))
        else:
            yield Document(file, _object(file, document))


def _object(file: Path, document: Any) -> dict[str, Any]:
    if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
        raise ConfigError(f"{file}: a document without apiVersion and kind is no Kubernetes object")
    if not isinstance(document.setdefault("metadata", {}), dict):
        raise ConfigError(f"{file}: {document['kind']} has metadata that is no mapping")
    return document


def _rank(document: Document) -> int:
    return {"CustomResourceDefinition": 0, "Namespace": 1}.get(document.obj["kind"], 2)


def load_into(engine: Engine, documents: Iterable[Document]) -> int:
    """Create the objects, or replace those that are there. Returns how many. Raises `ConfigError` naming file and object."""
    count = 0
    for document in sorted(documents, key=_rank):
        try:
            _put(engine, document.obj)
        except StatusError as error:
            raise ConfigError(f"{document.file}: {describe(document.obj)}: {error.message}") from None
        engine.world.settle()
        count += 1
    return count


def _put(engine: Engine, obj: dict[str, Any]) -> None:
    served = engine.world.registry.of_kind(str(obj["apiVersion"]), str(obj["kind"]))
    if served is None or served.store is None:
        text = f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}": load its CRD as well'
        raise StatusError(404, "NotFound", text)
    meta = obj["metadata"]
    namespace = str(meta.get("namespace") or "default") if served.namespaced else ""
    name = str(meta.get("name") or "")
    options = WriteOptions(manager=_MANAGER)
    status = obj.get("status")
    existing = served.objects().get(served.key(namespace, name))
    if existing is None:
        written = engine.writer.create(served, namespace, dict(obj), options)
        name = written.entry.name
    else:
        meta["resourceVersion"] = str(existing.version)
        engine.writer.update(served, namespace, name, dict(obj), options)
    if status and served.has_status and obj["kind"] not in {"CustomResourceDefinition", "Namespace"}:
        # An object saved from a cluster brings its status; a plain create drops it.
        engine.writer.modify(served, namespace, name, lambda live: {**live, "status": status}, options, subresource="status")
