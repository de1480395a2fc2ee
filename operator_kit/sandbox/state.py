"""State that outlives the process: every object and the version counter, in one JSON file, replaced whole.

The file is written when the server stops and, while it runs, a moment after a change, so that a killed server loses little. A
server that starts from it knows every object at its version and no history: older watches get 410, as after a restart on a
compacted etcd.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from operator_kit import codec
from operator_kit.errors import ConfigError
from operator_kit.sandbox.engine import Engine
from operator_kit.sandbox.files import write_whole

__all__ = ["capture", "read_state", "restore", "write_state"]

_FORMAT = "operator-kit sandbox state v1"


def capture(engine: Engine) -> dict[str, Any]:
    """The state as a document. On the server's thread; the objects in it are shared and must not be changed."""
    storage = engine.world.storage
    objects = {store.name: {entry.key: entry.obj for entry in store.scan()} for store in storage.stores() if len(store)}
    return {"format": _FORMAT, "version": storage.version, "objects": objects}


def restore(engine: Engine, document: dict[str, Any]) -> int:
    """Put a captured state in the place of what a fresh engine holds. Returns how many objects there are."""
    storage = engine.world.storage
    held = {store.name: store for store in storage.stores()}
    for store in held.values():
        for entry in list(store.scan()):
            store.remove(entry.key)
    engine.world.settle()
    count = 0
    # Definitions first: the kinds they define must be served when their objects are looked at.
    names = sorted(document["objects"], key=lambda name: not name.startswith("customresourcedefinitions."))
    for name in names:
        for key, obj in document["objects"][name].items():
            storage.store(name).restore(key, obj)
            count += 1
    # Only now: a controller that looked earlier would miss the owners of what it found first.
    storage.version = max(storage.version, document["version"])
    engine.world.settle()
    storage.forget_history()
    return count


def read_state(path: Path) -> dict[str, Any] | None:
    """The document in a file, or None where there is no file yet. Raises `ConfigError` for a file that is none of ours."""
    try:
        document = codec.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ConfigError(f"state file {path}: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise ConfigError(f"state file {path} is no JSON ({exc}); move it away to begin anew") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ConfigError(f"state file {path} was not written by a sandbox; name another file")
    return document


def write_state(path: Path, document: dict[str, Any]) -> None:
    """Replace the file by this document: whole, or not at all. Raises `ConfigError` when it cannot be written."""
    try:
        write_whole(path, codec.dumps(document))
    except OSError as exc:
        raise ConfigError(f"cannot write the state file {path}: {exc.strerror or exc}") from None
