"""Reviews: who may do what, and whose token is this. Without `--rbac` everyone may do everything, as cluster-admin.

Service account tokens are JWTs in form, signed by nobody; a TokenReview knows those this server gave out.
"""

from __future__ import annotations

import base64
from typing import Any

from operator_kit import codec
from operator_kit.sandbox.metadata import new_uid
from operator_kit.sandbox.registry import Served
from operator_kit.sandbox.request import RequestInfo
from operator_kit.sandbox.status import Cause, bad_request, invalid
from operator_kit.sandbox.world import World

__all__ = ["answer", "token_request"]

Object = dict[str, Any]

ADMIN = {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}
_EVERYTHING = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "incomplete": False,
}


def answer(served: Served, info: RequestInfo, obj: Object) -> Object:
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
        obj["status"] = {"userInfo": _user(info)}
    elif served.kind == "SelfSubjectRulesReview":
        obj["status"] = _EVERYTHING
    elif served.kind == "TokenReview":
        obj["status"] = _token_status(str(spec.get("token", "")))
    else:
        if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
            text = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
            raise invalid(served.group, served.kind, "", [Cause("FieldValueInvalid", text, "spec.resourceAttributes")])
        obj["status"] = {"allowed": True}
    return obj


def _user(info: RequestInfo) -> Object:
    return {"username": info.user, "groups": list(info.groups)} if info.user else dict(ADMIN)


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
    audiences = spec.get("audiences") or ["https://kubernetes.default.svc"]
    issued = int(world.clock.now().timestamp())
    claims = {"sub": subject, "aud": audiences, "iat": issued, "exp": issued + seconds, "jti": new_uid(), "iss": "sandbox"}
    token = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}.sandbox"
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": info.name, "namespace": info.namespace, "creationTimestamp": world.now()},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec.get("boundObjectRef")},
        "status": {"token": token, "expirationTimestamp": world.in_seconds(seconds)},
    }


def subject_of(token: str) -> str:
    """The user of a token this server gave out, or empty."""
    parts = token.split(".")
    if len(parts) != 3 or parts[2] != "sandbox":
        return ""
    try:
        claims = codec.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return ""
    return str(claims.get("sub", "")) if isinstance(claims, dict) else ""


def _token_status(token: str) -> Object:
    subject = subject_of(token)
    if not subject:
        return {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
    namespace = subject.split(":")[2]
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return {
        "authenticated": True,
        "user": {"username": subject, "groups": groups},
        "audiences": ["https://kubernetes.default.svc"],
    }
