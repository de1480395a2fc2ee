"""Label and field selectors, with the grammar, the meaning and the error texts of a kube-apiserver.

A selector is immutable. Parsing raises `ValueError` with the server's own words, so that the embedded API server can answer with
them and a client can refuse early with the text the server would have sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["FieldSelector", "LabelSelector", "Requirement", "Term", "label_key_problems", "label_value_problems"]

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_SUBDOMAIN_TEXT = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_KEY_TEXT = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def label_key_problems(key: str) -> list[str]:
    """What is wrong with a qualified name (`[prefix/]name`), in the server's words; empty when nothing is."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [_KEY_TEXT]
    problems = []
    if slash:
        if not prefix:
            problems.append("prefix part must be non-empty")
        else:
            if len(prefix) > 253:
                problems.append("prefix part must be no more than 253 bytes")
            if not _SUBDOMAIN.fullmatch(prefix):
                problems.append(_SUBDOMAIN_TEXT)
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        problems.append(_NAME_TEXT)
    return problems


def label_value_problems(value: str) -> list[str]:
    """What is wrong with a label's value, in the server's words; empty when nothing is."""
    problems = []
    if len(value) > 63:
        problems.append("must be no more than 63 bytes")
    if value and not _NAME.fullmatch(value):
        problems.append(_VALUE_TEXT)
    return problems


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return f'"{escaped}"'


class Requirement(NamedTuple):
    """One condition on a label: `operator` is `in`, `notin`, `=`, `==`, `!=`, `exists`, `!`, `gt` or `lt`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels fulfil it. A missing label fulfils the negative operators only."""
        value = labels.get(self.key)
        if self.operator in {"in", "=", "=="}:
            return value is not None and value in self.values
        if self.operator in {"notin", "!="}:
            return value is None or value not in self.values
        if self.operator == "exists":
            return value is not None
        if self.operator == "!":
            return value is None
        if value is None:
            return False
        try:
            have, limit = int(value), int(self.values[0])
        except ValueError:
            return False
        return have > limit if self.operator == "gt" else have < limit

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        if self.operator == "!":
            return f"!{self.key}"
        if self.operator == "exists":
            return self.key
        if self.operator in {"in", "notin"}:
            return f"{self.key} {self.operator} ({values})"
        return f"{self.key}{ {'gt': '>', 'lt': '<'}.get(self.operator, self.operator) }{values}"


def _checked(key: str, operator: str, values: Iterable[str]) -> Requirement:
    listed = tuple(sorted(set(values)))
    problems = []
    key_problems = label_key_problems(key)
    if key_problems:
        problems.append(f"key: Invalid value: {_quoted(key)}: {'; '.join(key_problems)}")
    if operator in {"gt", "lt"}:
        for index, value in enumerate(listed):
            if not re.fullmatch(r"[+-]?\d+", value):
                text = "for 'Gt', 'Lt' operators, the value must be an integer"
                problems.append(f"values[{index}]: Invalid value: {_quoted(value)}: {text}")
    for index, value in enumerate(listed):
        value_problems = label_value_problems(value)
        if value_problems:
            problems.append(f"values[{index}][{key}]: Invalid value: {_quoted(value)}: {'; '.join(value_problems)}")
    if problems:
        raise ValueError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    return Requirement(key, operator, listed)


_SYMBOLS = frozenset("=!(),><")
_BLANK = frozenset(" \t\r\n")
_OPERATORS = {"=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt", "in": "in", "notin": "notin"}
_TOKENS = frozenset({")", ",", "!", "==", "=", ">", "in", "<", "!=", "notin", "("})
_END = ("end", "")


def _tokens(text: str) -> list[tuple[str, str]]:
    """`(token, literal)` pairs; the token is the symbol or keyword itself, `id`, `error` or `end`."""
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char in _BLANK:
            position += 1
            continue
        if char == "\0":
            break
        start = position
        if char in _SYMBOLS:
            while position < len(text) and text[position] in _SYMBOLS and text[start : position + 1] in _TOKENS:
                position += 1
            literal = text[start:position]
            found.append((literal, literal))
            continue
        while position < len(text) and text[position] not in _SYMBOLS and text[position] not in _BLANK and text[position] != "\0":
            position += 1
        literal = text[start:position]
        found.append((literal if literal in {"in", "notin"} else "id", literal))
    found.append(_END)
    return found


class _Parser:
    """Reads the grammar of `labels.Parse`: requirements separated by commas."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def _look(self, *, keywords: bool = False) -> tuple[str, str]:
        token, literal = self._tokens[min(self._at, len(self._tokens) - 1)]
        return ("id" if not keywords and token in {"in", "notin"} else token), literal

    def _take(self, *, keywords: bool = False) -> tuple[str, str]:
        taken = self._look(keywords=keywords)
        self._at += 1
        return taken

    def parse(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            token, literal = self._look()
            if token == "end":  # noqa: S105  # a token of the grammar
                return found
            if token not in {"id", "!"}:
                raise ValueError(f"found '{literal}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as exc:
                raise ValueError(f"unable to parse requirement: {exc}") from None
            token, literal = self._take()
            if token == "end":  # noqa: S105  # a token of the grammar
                return found
            if token != ",":  # noqa: S105  # a token of the grammar
                raise ValueError(f"found '{literal}', expected: ',' or 'end of string'")
            token, literal = self._look()
            if token not in {"id", "!"}:
                raise ValueError(f"found '{literal}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        token, key = self._take()
        negative = token == "!"  # noqa: S105  # a token of the grammar
        if negative:
            token, key = self._take()
        if token != "id":  # noqa: S105  # a token of the grammar
            raise ValueError(f"found '{key}', expected: identifier")
        problems = label_key_problems(key)
        if problems:
            raise ValueError(f"<nil>: Invalid value: {_quoted(key)}: {'; '.join(problems)}")
        if negative:
            return Requirement(key, "!")
        if self._look()[0] in {"end", ","}:
            return Requirement(key, "exists")
        token, literal = self._take(keywords=True)
        operator = _OPERATORS.get(token)
        if operator is None:
            raise ValueError(f"found '{literal}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._values() if operator in {"in", "notin"} else self._exact()
        return _checked(key, operator, values)

    def _values(self) -> list[str]:
        token, literal = self._take()
        if token != "(":  # noqa: S105  # a token of the grammar
            raise ValueError(f"found '{literal}' expected: '('")
        token, literal = self._look()
        if token == ")":  # noqa: S105  # a token of the grammar
            self._take()
            return [""]
        if token not in {"id", ","}:
            raise ValueError(f"found '{literal}', expected: ',', ')' or identifier")
        values: list[str] = []
        while True:
            token, literal = self._take()
            if token == "id":  # noqa: S105  # a token of the grammar
                values.append(literal)
                after, text = self._look()
                if after not in {",", ")"}:
                    raise ValueError(f"found '{text}', expected: ',' or ')'")
            elif token == ",":  # noqa: S105  # a token of the grammar
                if not values or self._look()[0] in {")", ","}:
                    values.append("")
            else:
                raise ValueError(f"found '{literal}', expected: ',', or identifier")
            if self._look()[0] == ")":
                self._take()
                return values

    def _exact(self) -> list[str]:
        token, _ = self._look()
        if token in {"end", ","}:
            return [""]
        token, literal = self._take()
        if token != "id":  # noqa: S105  # a token of the grammar
            raise ValueError(f"found '{literal}', expected: identifier")
        return [literal]


_DICT_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


class LabelSelector:
    """All requirements must hold. No requirement selects everything."""

    __slots__ = ("requirements",)

    def __init__(self, requirements: Sequence[Requirement] = ()) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda requirement: requirement.key))

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """From the text of a `labelSelector` parameter. Raises `ValueError` with the server's words."""
        return cls(_Parser(text).parse()) if text else _EVERYTHING

    @classmethod
    def from_dict(cls, selector: Mapping[str, Any]) -> LabelSelector:
        """From a `metav1.LabelSelector`: `{"matchLabels": {…}, "matchExpressions": [{key, operator, values}]}`.

        Raises `ValueError` for an unknown operator or values that do not fit it.
        """
        found = [_checked(key, "=", [value]) for key, value in (selector.get("matchLabels") or {}).items()]
        for expression in selector.get("matchExpressions") or ():
            operator = _DICT_OPERATORS.get(expression.get("operator", ""))
            if operator is None:
                raise ValueError(f"{_quoted(str(expression.get('operator', '')))} is not a valid label selector operator")
            values = expression.get("values") or ()
            if operator in {"in", "notin"} and not values:
                raise ValueError("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
            if operator in {"exists", "!"} and values:
                raise ValueError(f"values: Invalid value: {list(values)}: values set must be empty for exists and does not exist")
            found.append(_checked(str(expression.get("key", "")), operator, values))
        return cls(found)

    @property
    def empty(self) -> bool:
        """Whether it selects everything."""
        return not self.requirements

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSelector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"<LabelSelector {str(self) or 'everything'}>"


_EVERYTHING = LabelSelector()


class Term(NamedTuple):
    """One condition on a field: its path equals the value, or (`negative`) does not."""

    field: str
    value: str
    negative: bool = False


def _split_terms(text: str) -> list[str]:
    terms, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == ",":
            terms.append(text[start:position])
            start = position + 1
        position += 1
    terms.append(text[start:])
    return terms


def _split_term(text: str) -> tuple[str, str, str] | None:
    position = 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        for operator in ("!=", "==", "="):
            if text.startswith(operator, position):
                return text[:position], operator, text[position + len(operator) :]
        position += 1
    return None


def _unescape(text: str) -> str:
    if not any(char in text for char in "\\,="):
        return text
    out, position = [], 0
    while position < len(text):
        char = text[position]
        if char == "\\":
            after = text[position + 1 : position + 2]
            if not after or after not in "\\,=":
                raise ValueError(f"invalid field selector: invalid escape sequence: \\{after}")
            out.append(after)
            position += 2
            continue
        if char in ",=":
            raise ValueError(f"invalid field selector: unescaped character in value: {char}")
        out.append(char)
        position += 1
    return "".join(out)


class FieldSelector:
    """All terms must hold. Which fields a kind can be selected by is for the server to say; this only reads and compares."""

    __slots__ = ("terms",)

    def __init__(self, terms: Sequence[Term] = ()) -> None:
        self.terms = tuple(terms)

    @classmethod
    def parse(cls, text: str) -> FieldSelector:
        """From the text of a `fieldSelector` parameter: `a=b,c!=d`. Raises `ValueError` with the server's words."""
        terms = []
        for part in sorted(_split_terms(text)):
            if not part:
                continue
            split = _split_term(part)
            if split is None:
                raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
            terms.append(Term(split[0], _unescape(split[2]), split[1] == "!="))
        return cls(terms)

    @property
    def empty(self) -> bool:
        """Whether it selects everything."""
        return not self.terms

    def exact(self, field: str) -> str | None:
        """The value a term demands of this field, or None where none does."""
        for term in self.terms:
            if term.field == field and not term.negative:
                return term.value
        return None

    def matches(self, getter: Callable[[str], str]) -> bool:
        """Whether an object is selected; `getter` tells the text of a field, empty where it has none."""
        return all((getter(term.field) == term.value) != term.negative for term in self.terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSelector) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    def __str__(self) -> str:
        def escape(text: str) -> str:
            return text.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")

        return ",".join(f"{term.field}{'!=' if term.negative else '='}{escape(term.value)}" for term in self.terms)

    def __repr__(self) -> str:
        return f"<FieldSelector {str(self) or 'everything'}>"
