"""Namespaces that an operator is to watch and that do not exist: a list of what is in one is empty, and nothing else says so.

Whoever may not look at namespaces is not told, and makes no request that is refused: whether it may is asked first.
"""

from __future__ import annotations

from collections.abc import Iterable

from operator_kit.api import Cancel, Client
from operator_kit.errors import ApiError, Cancelled, ConnectionFailed, DeadlineExceeded, NotFound, ServerError, TooManyRequests
from operator_kit.objects import Resource

__all__ = ["LOOK_AGAIN", "Namespaces"]

LOOK_AGAIN = 10.0  # seconds between two looks for one that does not exist

_NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
_REVIEW = Resource("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)


class Namespaces:
    """Looks for them when asked. One thread calls `look`.

    Args:
        client: the API server.
        names: the namespaces.
        cancel: ends a look.

    Attributes:
        unseen: those to look for again, and whether it is known that this is allowed.
        absent: those that did not exist the last time; replaced as a whole.
    """

    def __init__(self, client: Client, names: Iterable[str], cancel: Cancel) -> None:
        self._client = client
        self._cancel = cancel
        self.unseen = dict.fromkeys(names, False)
        self.absent: tuple[str, ...] = ()

    def look(self) -> None:
        """Look for those that were not seen yet."""
        absent = []
        for name, known in list(self.unseen.items()):
            try:
                if not known and not self._may_look(name):
                    del self.unseen[name]
                    continue
                self.unseen[name] = True
                self._client.get(_NAMESPACE, name, cancel=self._cancel)
            except NotFound:
                absent.append(name)
            except (ConnectionFailed, DeadlineExceeded, ServerError, TooManyRequests):
                continue  # the next time
            except (ApiError, Cancelled):
                del self.unseen[name]
            else:
                del self.unseen[name]
        self.absent = tuple(absent)

    def _may_look(self, name: str) -> bool:
        attributes = {"namespace": name, "verb": "get", "version": "v1", "resource": "namespaces", "name": name}
        answer = self._client.create(_REVIEW, {"spec": {"resourceAttributes": attributes}}, cancel=self._cancel)
        return bool((answer.get("status") or {}).get("allowed"))
