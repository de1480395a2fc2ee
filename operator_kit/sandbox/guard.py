"""Who asks, and whether they may: bearer tokens to users, and every request put to the roles the server holds.

Without `--rbac` everyone is the administrator, as on a server with `AlwaysAllow`, unless a service account's token says
otherwise, and nobody is refused. With it, the administrator is who holds the token of the kubeconfig that the sandbox wrote.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

from operator_kit.objects import Object
from operator_kit.sandbox import reviews
from operator_kit.sandbox.admission import check_owners
from operator_kit.sandbox.rbac import (
    ADMIN,
    ANONYMOUS,
    BOOTSTRAP,
    Attributes,
    Authorizer,
    Decision,
    User,
    forbidden,
    service_account,
)
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import RequestInfo, WriteOptions
from operator_kit.sandbox.status import StatusError
from operator_kit.sandbox.world import World
from operator_kit.sandbox.writes import Writer

__all__ = ["Guard"]

_GROUP = "rbac.authorization.k8s.io"


class Guard:
    """Authentication and authorisation of one server.

    Args:
        world: where roles, bindings and service accounts are.
        enforce: whether anyone is ever refused.
        owner_permissions: whether the permissions of owner references are enforced as well.
    """

    def __init__(self, world: World, *, enforce: bool = False, owner_permissions: bool = False) -> None:
        self.enforce = enforce
        self.owner_permissions = owner_permissions
        self.admin_token = secrets.token_urlsafe(24)
        """The administrator's bearer token."""
        self._world = world
        self._authorizer = Authorizer(self._objects)

    def bootstrap(self, writer: Writer) -> None:
        """Make the roles and bindings that every server has."""
        for document in BOOTSTRAP:
            served = self._world.registry.of_kind(document["apiVersion"], document["kind"])
            assert served is not None
            obj = {**document, "metadata": {**document["metadata"]}}
            if served.objects().get(obj["metadata"]["name"]) is None:
                writer.create(served, "", obj, WriteOptions(manager="kube-apiserver"))

    def _objects(self, plural: str) -> Iterable[Object]:
        return (entry.obj for entry in self._world.storage.store(f"{plural}.{_GROUP}").scan())

    # ------------------------------------------------------------------ who

    def identify(self, authorization: str) -> User:
        """The user of an `Authorization` header. Raises 401 for a token that is nobody's."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return ANONYMOUS if self.enforce else ADMIN
        user = self.user_of(token)
        if user is not None:
            return user
        if not self.enforce:
            return ADMIN
        raise StatusError(401, "Unauthorized", "Unauthorized")

    def user_of(self, token: str) -> User | None:
        """The user of a token, or None: the administrator's, or one given out for a service account that still exists."""
        if hmac.compare_digest(token.encode(), self.admin_token.encode()):
            return ADMIN
        claims = reviews.claims_of(token)
        parts = str(claims.get("sub", "")).split(":")
        expires = claims.get("exp")
        if len(parts) != 4 or not isinstance(expires, int) or expires < self._world.clock.now().timestamp():
            return None
        account = self._world.storage.store("serviceaccounts").get(f"{parts[2]}/{parts[3]}")
        bound = (claims.get("kubernetes.io") or {}).get("serviceaccount") or {}
        if account is None or bound.get("uid") != account.uid:  # deleted, or another that took its name
            return None
        return service_account(parts[2], parts[3], account.uid)

    # ------------------------------------------------------------------ may they

    def check(self, user: User, info: RequestInfo) -> None:
        """Raise 403 where the user may not do what the request asks."""
        if self.enforce:
            asked = attributes(info)
            if not self.decide(user, asked).allowed:
                raise forbidden(user, asked)

    def admit(self, user: User, served: Served, new: Object, old: Object | None, subresource: str) -> None:
        """Raise 403 where the user may not give an object the owners that it is to have."""
        if self.enforce and self.owner_permissions:
            registry = self._world.registry
            check_owners(lambda asked: self.decide(user, asked).allowed, registry, served, new, old, subresource=subresource)

    def decide(self, user: User, asked: Attributes) -> Decision:
        """Whether a user may do something; what access reviews answer."""
        return self._authorizer.decide(user, asked) if self.enforce else Decision(True)

    def rules_for(self, user: User, namespace: str) -> list[Object]:
        """Every rule that holds for a user in a namespace; what a SelfSubjectRulesReview lists."""
        subject = user if self.enforce else ADMIN
        return [dict(rule) for rule in self._authorizer.rules_for(subject, namespace)]

    def __repr__(self) -> str:
        return f"<Guard {'enforcing' if self.enforce else 'open'}>"


def attributes(info: RequestInfo) -> Attributes:
    """What a request asks for. A non-resource path asks with its method, in lower case."""
    if not info.plural:
        return Attributes(info.verb, path=info.path)
    namespace = info.name if info.plural == "namespaces" and not info.group else info.namespace
    return Attributes(info.verb, info.group, info.plural, info.subresource, namespace, info.name)
