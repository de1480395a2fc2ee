"""Checks answer like kube-apiserver's."""

from __future__ import annotations

import logging
from email.message import Message
from urllib.parse import parse_qs, urlsplit

import pytest

from operator_kit.manager.checks import Checks, Finding
from operator_kit.manager.connection import Request, Response


def ask(checks: Checks, url: str) -> Response:
    parts = urlsplit(url)
    routes = checks.routes("/alias")
    route = routes.get(parts.path) or next(
        routes[prefix] for prefix in routes if prefix.endswith("/") and parts.path.startswith(prefix)
    )
    return route(Request(parts.path, parse_qs(parts.query, keep_blank_values=True), Message()))


@pytest.fixture
def checks() -> Checks:
    made = Checks("readyz")
    made.add("good", lambda: "")
    made.add("noted", lambda: Finding(note="slow\ntoday"))
    return made


def test_all_well_is_ok_and_nothing_else(checks: Checks) -> None:
    for url in ("/readyz", "/alias", "/readyz/", "/readyz/good", "/alias/noted"):
        assert ask(checks, url) == Response("ok")


def test_verbose_has_a_line_for_each_check(checks: Checks) -> None:
    assert ask(checks, "/readyz?verbose") == Response("[+]good ok\n[+]noted ok (slow today)\nreadyz check passed\n")


def test_a_failure_is_a_500_that_names_it_in_one_line_and_the_others_too(checks: Checks) -> None:
    checks.add("bad", lambda: "the CRD\nis missing")
    text = "[+]good ok\n[+]noted ok (slow today)\n[-]bad failed: the CRD is missing\nreadyz check failed\n"
    assert ask(checks, "/readyz") == ask(checks, "/readyz?verbose=1") == Response(text, 500)
    assert ask(checks, "/readyz/bad") == Response("the CRD is missing\n", 500)
    assert ask(checks, "/readyz/good") == Response("ok")


def test_a_check_can_be_excluded_and_one_that_is_not_there_is_warned_of(checks: Checks) -> None:
    checks.add("bad", lambda: "broken")
    assert ask(checks, "/readyz?exclude=bad") == Response("ok")
    text = '[+]good ok\n[+]noted ok (slow today)\n[+]bad excluded: ok\nwarn: some health checks cannot be excluded: no matches for "x"\n'
    assert ask(checks, "/readyz?verbose&exclude=bad&exclude=x") == Response(text + "readyz check passed\n")


@pytest.mark.parametrize("url", ["/readyz/none", "/readyz/good/more", "/readyz/readyz"])
def test_a_check_that_is_not_there_is_a_404_that_names_those_that_are(checks: Checks, url: str) -> None:
    assert ask(checks, url) == Response("readyz has no such check; there are good, noted\n", 404)


def test_a_check_that_raises_has_failed(checks: Checks) -> None:
    def raises() -> str:
        raise ZeroDivisionError("by 0")

    checks.add("raises", raises)
    assert "[-]raises failed: the check itself failed: ZeroDivisionError: by 0" in str(ask(checks, "/readyz").body)
    assert not checks.passes()


@pytest.mark.parametrize("name", ["good", "", "a b", "a/b", "a\n"])
def test_a_name_that_is_taken_or_none_is_refused(checks: Checks, name: str) -> None:
    with pytest.raises(ValueError, match="check"):
        checks.add(name, lambda: "")


def test_what_fails_is_logged_when_it_begins_and_ends(checks: Checks, caplog: pytest.LogCaptureFixture) -> None:
    trouble = ["for 1s"]
    checks.add("bad", lambda: trouble[0])
    with caplog.at_level(logging.INFO, "operator_kit.manager"):
        for text in ("for 1s", "for 2s", "for 3s", "", ""):
            trouble[0] = text
            ask(checks, "/readyz")
            ask(checks, "/readyz?exclude=bad")
    assert [record.getMessage() for record in caplog.records] == ["readyz fails: bad: for 1s", "readyz passes"]
