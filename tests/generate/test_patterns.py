"""Which patterns a server takes: neither more nor fewer are refused."""

from __future__ import annotations

import pytest

from operator_kit.generate.patterns import matches, unknown_to_re2


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        r"^\d+\w*\s?$",
        r"[(?=]",
        r"\(?=x",
        r"\\1",
        r"\++",
        r"[+]+",
        r"a+?b*?",
        r"(?i)abc",
        r"(?P<name>a)",
        r"\pL[[:alpha:]]\z",
        r"a{1000}",
        r"[^\]]+",
    ],
)
def test_what_re2_knows_passes(pattern: str) -> None:
    assert unknown_to_re2(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a(?=b)", "ahead or behind"),
        ("a(?!b)", "ahead or behind"),
        ("(?<=a)b", "ahead or behind"),
        ("(?<!a)b", "ahead or behind"),
        (r"(a)\1", "refers back"),
        (r"(?P<n>a)(?P=n)", "refers back"),
        ("(?>a)b", "atomic"),
        ("a++", "possessive"),
        ("a{2}+", "possessive"),
        (r"a\Z", "write $"),
        ("(a)?(?(1)b|c)", "conditional"),
        ("a{1001}", "more than 1000 times"),
        ("(a", "is no regular expression"),
        ("[b-a]", "is no regular expression"),
    ],
)
def test_what_re2_does_not_know_is_told(pattern: str, why: str) -> None:
    assert why in unknown_to_re2(pattern)


def test_a_pattern_may_match_anywhere() -> None:
    assert matches("b", "abc")
    assert not matches("^b", "abc")
