"""Objects that leave a reconciler's selection with its finalizer on: nobody takes it off any more, which is told.

To a cache they look as if they were deleted. So the first such object is read once from the server, and if it is still there the
log says so; what follows is the same for all of them.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from operator_kit.controller.finalizers import finalizers_of
from operator_kit.errors import OperatorKitError
from operator_kit.objects import Resource, split_key

if TYPE_CHECKING:
    from operator_kit.api import Client
    from operator_kit.cache import Change

__all__ = ["Leavers"]

_log = logging.getLogger("operator_kit.controller")


class Leavers:
    """Those of one controller. Thread-safe.

    Args:
        name: the controller's.
        kind: the reconciled kind.
        selector: its label selector; without one nothing can leave.
        finalizer: the controller's.
        client: the API server.
    """

    def __init__(self, name: str, kind: Resource, selector: str, finalizer: str, client: Client) -> None:
        self._name = name
        self._kind = kind
        self._selector = selector
        self._finalizer = finalizer
        self._client = client
        self._lock = threading.Lock()
        self._suspects: set[str] = set()  # under the lock
        self._told = not selector

    def notice(self, change: Change) -> None:
        """A change of the kind, on a cache's thread."""
        old = change.old
        if self._told or change.new is not None or old is None or old.deleting or self._finalizer not in old.finalizers:
            return
        with self._lock:
            self._suspects.add(change.key)

    def look(self, key: str) -> None:
        """Whether this one, which the cache does not show any more, is there all the same; then it is told."""
        with self._lock:
            if self._told or key not in self._suspects:
                return
            self._suspects.discard(key)
        namespace, name = split_key(key)
        try:
            left = self._client.get(self._kind, name, namespace or None)
        except OperatorKitError as exc:
            _log.debug("%s: whether %s has left the selection is not known: %s", self._name, key, exc)
            return
        if self._finalizer not in finalizers_of(left):
            return
        with self._lock:
            news, self._told = not self._told, True
            self._suspects.clear()
        if news:
            _log.warning(
                "%s: %s has left the selection (selector=%r) with the finalizer %s on: it cannot be deleted before its labels "
                "match again, or the finalizer is taken off, and its children stay; this is said of the first such object only",
                *(self._name, key, self._selector, self._finalizer),
            )
