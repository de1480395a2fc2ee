"""One tree of errors, each answer of the server in its place."""

from __future__ import annotations

import inspect

import pytest

from operator_kit import errors


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", errors.BadRequest),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (405, "MethodNotAllowed", errors.MethodNotAllowed),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (415, "UnsupportedMediaType", errors.UnsupportedMediaType),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (503, "ServiceUnavailable", errors.ServerError),
        (418, "", errors.ApiError),
    ],
)
def test_each_status_has_its_error(status: int, reason: str, kind: type[errors.ApiError]) -> None:
    error = errors.api_error(status, {"reason": reason, "message": "m"}, request="GET /x")
    assert type(error) is kind
    assert str(error) == f"m ({f'{status} {reason}'.strip()}, GET /x)"


def test_a_field_manager_conflict_is_told_from_a_stale_version() -> None:
    body = {"reason": "Conflict", "message": "m", "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".spec.a"}]}}
    assert type(errors.api_error(409, body)) is errors.ApplyConflict


def test_the_wait_the_server_asked_for_is_kept() -> None:
    body = {"details": {"retryAfterSeconds": 3}}
    assert errors.api_error(429, body).retry_after == 3
    assert errors.api_error(429, body, retry_after=7).retry_after == 7
    assert errors.api_error(429).retry_after is None


@pytest.mark.parametrize(
    "body", [None, "", "upstream connect error", {"details": None}, {"details": {"causes": "x"}}, {"message": None}]
)
def test_an_answer_that_is_no_status_still_makes_an_error(body: object) -> None:
    error = errors.api_error(502, body)  # type: ignore[arg-type]
    assert isinstance(error, errors.ServerError)
    assert str(error)


def test_the_tree_drawn_in_the_docstring_is_the_tree() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.OperatorKitError)]
    assert set(errors.__all__) == {kind.__name__ for kind in classes} | {"api_error", "yaml_problem"}
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in classes if kind.__name__ not in errors.__doc__] == []
