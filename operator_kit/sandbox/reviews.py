"""Reviews: who may do what, and whose token is this; and the tokens of service accounts.

The tokens are JWTs, signed with a key that this process made for itself: they end with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any

from operator_kit import codec
from operator_kit.sandbox.metadata import new_uid
from operator_kit.sandbox.rbac import Attributes, User
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import RequestInfo
from operator_kit.sandbox.status import Cause, bad_request, invalid
from operator_kit.sandbox.world import World

if TYPE_CHECKING:
    from operator_kit.sandbox.guard import Guard

__all__ = ["answer", "claims_of", "token_request"]

_SECRET = secrets.token_bytes(32)

Object = dict[str, Any]

_AUDIENCE = "https://kubernetes.default.svc"


def answer(guard: Guard, served: Served, user: User, obj: Object) -> Object:
    """The review with its status filled in. Raises 400 and 422 for what is no question."""
    for field, wanted in (("apiVersion", served.api_version), ("kind", served.kind)):
        if obj.setdefault(field, wanted) != wanted:
            raise bad_request(f"the object provided is unrecognized (must be of type {served.kind})")
    obj.setdefault("metadata", {})
    spec = obj.setdefault("spec", {})
    if not isinstance(spec, dict):
        raise bad_request(f"json: cannot unmarshal into Go struct field {served.kind}.spec")
    if served.kind == "SelfSubjectReview":
        del obj["spec"]
        obj["status"] = {"userInfo": _shown(user)}
    elif served.kind == "SelfSubjectRulesReview":
        obj["status"] = _rules_status(guard.rules_for(user, str(spec.get("namespace") or "")))
    elif served.kind == "TokenReview":
        obj["status"] = _token_status(guard, str(spec.get("token", "")))
    else:
        obj["status"] = _access_status(guard, served, user, spec)
    return obj


def _access_status(guard: Guard, served: Served, user: User, spec: Object) -> Object:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if bool(resource) == bool(path):
        text = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid(served.group, served.kind, "", [Cause("FieldValueInvalid", text, "spec.resourceAttributes")])
    if served.kind in {"SubjectAccessReview", "LocalSubjectAccessReview"}:
        groups = spec.get("groups")
        user = User(str(spec.get("user") or ""), tuple(map(str, groups)) if isinstance(groups, list) else ())
    asked = resource if isinstance(resource, dict) else path if isinstance(path, dict) else {}
    fields = ("verb", "group", "resource", "subresource", "namespace", "name", "path")
    allowed, reason = guard.decide(user, Attributes(**{field: str(asked.get(field) or "") for field in fields}))
    return {"allowed": allowed, **({"reason": reason} if reason else {})}


def _rules_status(rules: list[Object]) -> Object:
    resources, paths = [], []
    for rule in rules:
        if rule.get("nonResourceURLs"):
            paths.append({"verbs": rule.get("verbs") or [], "nonResourceURLs": rule["nonResourceURLs"]})
        else:
            kept = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({field: rule[field] for field in kept if rule.get(field)})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


def _shown(user: User) -> Object:
    return {"username": user.name, **({"uid": user.uid} if user.uid else {}), "groups": list(user.groups)}


def _part(document: Object) -> str:
    return base64.urlsafe_b64encode(codec.dumps(document)).rstrip(b"=").decode()


def token_request(world: World, info: RequestInfo, obj: Object) -> Object:
    """Give out a token for a service account."""
    spec = obj.get("spec") if isinstance(obj.get("spec"), dict) else {}
    assert isinstance(spec, dict)
    seconds = spec.get("expirationSeconds") or 3600
    if not isinstance(seconds, int) or seconds < 600:
        text = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        cause = Cause("FieldValueInvalid", text, "spec.expirationSeconds")
        raise invalid("authentication.k8s.io", "TokenRequest", info.name, [cause])
    subject = f"system:serviceaccount:{info.namespace}:{info.name}"
    audiences = spec.get("audiences") or [_AUDIENCE]
    issued = int(world.clock.now().timestamp())
    claims = {"sub": subject, "aud": audiences, "iat": issued, "exp": issued + seconds, "jti": new_uid(), "iss": "sandbox"}
    account = world.storage.store("serviceaccounts").get(f"{info.namespace}/{info.name}")
    if account is not None:
        claims["kubernetes.io"] = {"namespace": info.namespace, "serviceaccount": {"name": info.name, "uid": account.uid}}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    token = f"{signed}.{_signature(signed)}"
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": info.name, "namespace": info.namespace, "creationTimestamp": world.now()},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec.get("boundObjectRef")},
        "status": {"token": token, "expirationTimestamp": world.in_seconds(seconds)},
    }


def claims_of(token: str) -> Object:
    """What a token this server gave out says, or nothing."""
    parts = token.split(".")
    if len(parts) != 3 or not hmac.compare_digest(parts[2], _signature(f"{parts[0]}.{parts[1]}")):
        return {}
    try:
        claims = codec.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def _signature(signed: str) -> str:
    digest = hmac.new(_SECRET, signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _token_status(guard: Guard, token: str) -> Object:
    user = guard.user_of(token)
    if user is None:
        return {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
    return {"authenticated": True, "user": _shown(user), "audiences": [_AUDIENCE]}
