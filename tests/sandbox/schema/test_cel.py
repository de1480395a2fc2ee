"""Validation rules: what they evaluate to, when they run, what they say, and which are refused with their CRD."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.sandbox.schema import compile_schema
from operator_kit.sandbox.schema.cel.evaluator import CelError, Expression
from operator_kit.sandbox.schema.cel.syntax import CelSyntaxError
from operator_kit.sandbox.schema.cel.values import to_cel
from operator_kit.sandbox.schema.node import parse
from tests.sandbox.schema.test_crd import crd, said

OBJECT = {
    "size": 3,
    "list": [1, 2, 3],
    "map": {"a": 1},
    "text": "abc",
    "null": None,
    "half": 1.5,
    "with-dash": 1,
    "with.dot": 2,
    "namespace": "n",
}


def evaluate(expression: str, value: Any = OBJECT) -> Any:
    return Expression(expression).evaluate({"self": to_cel(value, None)})


@pytest.mark.parametrize(
    "expression",
    """
self.size == 3 && self.size != 4 && self.size >= 3 && self.size < 4
has(self.size) && !has(self.missing)
self.text == 'abc' || self.missing == 1
!(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)
self.size > 1.0 && self.half < 2
self.size in [1, 2, 3] && 'a' in self.map && !('b' in self.map)
self.list.all(x, x > 0) && self.list.exists(x, x == 2) && self.list.exists_one(x, x == 2)
self.list.map(x, x * 2) == [2, 4, 6] && self.list.filter(x, x > 1).size() == 2
self.list.map(x, x > 1, x + 1) == [3, 4]
self.list.all(i, v, v == i + 1) && self.map.all(k, v, k == 'a' && v == 1)
self.map.all(k, k == 'a') && self.map == {'a': 1}
self.list.map(x, self.list.map(y, x * y)) == [[1, 2, 3], [2, 4, 6], [3, 6, 9]]
self.null == null && self.null != 1
self.with__dash__dash == 1 && self.with__dot__dot == 2 && self.__namespace__ == 'n'
self.text.startsWith('a') && self.text.endsWith('c') && self.text.contains('b') && self.text.matches('^a.c$')
self.text.upperAscii() == 'ABC' && 'ABC'.lowerAscii() == 'abc' && ' a '.trim() == 'a'
'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b'
'hello'.substring(1, 3) == 'el' && 'hello'.replace('l', 'L', 1) == 'heLlo' && 'hello'.indexOf('l') == 2
'hello'.lastIndexOf('l') == 3 && 'hello'.charAt(1) == 'e' && 'abc'.reverse() == 'cba'
'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.findAll('[0-9]+', 1) == ['1']
'%s is %d'.format(['a', 3]) == 'a is 3'
[1, 2, 2].isSorted() && ![2, 1].isSorted() && [1, 2].sum() == 3 && [1, 3, 2].max() == 3 && [3, 1].min() == 1
['a', 'b'].indexOf('b') == 1 && ['a', 'a'].lastIndexOf('a') == 1 && [[1], [2]].flatten() == [1, 2] && [1, 1].distinct() == [1]
sets.contains([1, 2], [2]) && sets.equivalent([1, 2], [2, 1, 1]) && !sets.intersects([1], [2])
isURL('https://example.com:80/path') && !isURL('../x') && url('https://example.com:80/p?a=1').getHostname() == 'example.com'
url('https://example.com:80/p?a=1').getPort() == '80' && url('https://x.y/p?a=1').getQuery() == {'a': ['1']}
isQuantity('1.5Gi') && !isQuantity('x') && quantity('1').isGreaterThan(quantity('500m')) && quantity('1k').asInteger() == 1000
quantity('50k').add(quantity('20k')) == quantity('70k') && quantity('1').compareTo(quantity('1000m')) == 0
isIP('10.0.0.1') && ip('::1').family() == 6 && ip('127.0.0.1').isLoopback() && ip.isCanonical('::1')
isCIDR('10.0.0.0/8') && cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').prefixLength() == 8
semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && !isSemver('1.2')
format.dns1123Label().validate('ok') == optional.none() && format.dns1123Label().validate('No').hasValue()
duration('1h') == duration('60m') && duration('1h') > duration('1m')
timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-01T00:00:01Z') && timestamp('2026-01-02T03:00:00Z').getFullYear() == 2026
int('5') + 1 == 6 && string(5) == '5' && double('1.5') == 1.5 && type(1) == int && dyn(1) == 1
self.?missing.orValue(7) == 7 && self.?size.orValue(7) == 3 && self.?map.a.orValue(0) == 1 && self.?missing.deep.orValue(4) == 4
self.map[?'b'].orValue(2) == 2 && [1, 2][?1].value() == 2 && !optional.none().hasValue() && has(self.?map.a)
optional.of(2).optMap(x, x * 2).orValue(0) == 4 && optional.none().or(optional.of(1)).value() == 1
cel.bind(x, self.size, x + x) == 6
self.size > 2 ? self.text == 'abc' : 1 / 0 == 1
r'\\d' == '\\\\d' && "it's" == 'it\\'s' && 'a ? b' == 'a ? b'
""".strip().splitlines(),
)
def test_what_is_true(expression: str) -> None:
    assert bool(evaluate(expression)) is True


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("self.missing == 1", "no such key: missing"),
        ("has(self.missing.deep)", "no such key: missing"),
        ("self.list[5] == 1", "index out of bounds: 5"),
        ("self.map['b'] == 1", "no such key: b"),
        ("1 / 0 == 1", "division by zero"),
        ("9223372036854775807 + 1 > 0", "integer overflow"),
        ("self.text < 1", "no such overload"),
        ("self.size + 1.0 > 1.0", "no such overload"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("'abc'.substring(5) == ''", "index out of range: 5"),
        ("quantity('x') == quantity('y')", "quantities must match the regular expression"),
    ],
)
def test_what_fails_says_why(expression: str, text: str) -> None:
    with pytest.raises(CelError, match="^" + text.replace("(", r"\(").replace(")", r"\)")):
        evaluate(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "self.list.map(a, self.list.map(b, self.list.map(c, self.list.map(d, self.list.map(e, self.list.map(f, 1)))))).size() > 0",
        "cel.bind(a, self.text + self.text, " * 40 + "a.size() > 0" + ")" * 40,
    ],
)
def test_an_expensive_rule_is_stopped(expression: str) -> None:
    doubling = expression.replace("self.text + self.text", "a + a").replace("a + a", "self.text + self.text", 1)
    with pytest.raises(CelError, match="cost limit exceeded"):
        evaluate(doubling, {"list": list(range(40)), "text": "x" * 1000})


def test_values_have_the_types_of_their_schema() -> None:
    schema = parse(
        {
            "type": "object",
            "properties": {
                "at": {"type": "string", "format": "date-time"},
                "every": {"type": "string", "format": "duration"},
                "raw": {"type": "string", "format": "byte"},
                "ratio": {"type": "number"},
            },
        }
    )
    value = {"at": "2026-01-01T00:00:00Z", "every": "1h", "raw": "YWI=", "ratio": 1}
    expression = (
        "self.at < timestamp('2027-01-01T00:00:00Z') && self.every == duration('60m') && self.raw.size() == 2 "
        "&& type(self.ratio) == double"
    )
    assert bool(Expression(expression).evaluate({"self": to_cel(value, schema)}))


def rule(text: str, **more: Any) -> dict[str, Any]:
    return {"rule": text, **more}


def found(schema: dict[str, Any], value: Any, old: Any = None) -> list[tuple[str, str, str]]:
    made = compile_schema({"type": "object", "properties": {"spec": schema}})
    before = None if old is None else {"spec": old}
    return [
        (cause.reason.removeprefix("FieldValue"), cause.field, cause.message) for cause in made.validate({"spec": value}, before)
    ]


def spec(*rules: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "x-kubernetes-validations": list(rules), "properties": properties}


TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def test_a_broken_rule_says_its_message_or_itself() -> None:
    both = {"min": NUMBER, "max": NUMBER}
    assert found(spec(rule("self.min <= self.max"), **both), {"min": 2, "max": 1}) == [
        ("Invalid", "spec", "Invalid value: failed rule: self.min <= self.max")
    ]
    named = rule("self.min <= self.max", message=" min is more than max ", fieldPath=".min", reason="FieldValueForbidden")
    assert found(spec(named, **both), {"min": 2, "max": 1}) == [("Forbidden", "spec.min", "Forbidden: min is more than max")]
    computed = rule("self.min <= self.max", messageExpression="'%d > %d'.format([self.min, self.max])")
    assert found(spec(computed, **both), {"min": 2, "max": 1}) == [("Invalid", "spec", "Invalid value: 2 > 1")]
    useless = rule("self.min <= self.max", messageExpression="''", message="plain")
    assert found(spec(useless, **both), {"min": 2, "max": 1}) == [("Invalid", "spec", "Invalid value: plain")]
    scalar = {
        "type": "string",
        "x-kubernetes-validations": [rule("self.size() > 3", message="too short", reason="FieldValueRequired")],
    }
    assert found(spec(name=scalar), {"name": "ab"}) == [("Required", "spec.name", "Required value: too short")]


def test_a_rule_that_cannot_be_evaluated_says_so() -> None:
    assert found(spec(rule("self.a > 1"), a=NUMBER), {}) == [
        ("Invalid", "spec", 'Invalid value: "object": no such key: a evaluating rule: self.a > 1')
    ]
    mixed = {"x-kubernetes-int-or-string": True, "x-kubernetes-validations": [rule("self > 1")]}
    assert found(spec(mode=mixed), {"mode": "x"}) == [
        (
            "Invalid",
            "spec.mode",
            (
                "Invalid value: \"\": 'no such overload': call arguments did not match a supported operator, function or macro signature "
                "for rule: self > 1"
            ),
        )
    ]


def test_transition_rules_run_on_updates_only() -> None:
    frozen = {"type": "string", "x-kubernetes-validations": [rule("self == oldSelf", message="frozen is immutable")]}
    assert found(spec(frozen=frozen), {"frozen": "x"}) == []
    assert found(spec(frozen=frozen), {"frozen": "x"}, {}) == []
    assert found(spec(frozen=frozen), {"frozen": "x"}, {"frozen": "x"}) == []
    assert found(spec(frozen=frozen), {"frozen": "y"}, {"frozen": "x"}) == [
        ("Invalid", "spec.frozen", 'Invalid value: "y": frozen is immutable')
    ]


def test_an_optional_old_self_runs_on_creation_too() -> None:
    set_once = rule("oldSelf.hasValue() || self == 'new'", optionalOldSelf=True, message="must begin as new")
    schema = spec(state={"type": "string", "x-kubernetes-validations": [set_once]})
    assert found(schema, {"state": "new"}) == []
    assert found(schema, {"state": "old"}) == [("Invalid", "spec.state", 'Invalid value: "old": must begin as new')]
    assert found(schema, {"state": "old"}, {"state": "new"}) == []


def test_elements_are_followed_by_their_map_keys() -> None:
    item = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": TEXT, "size": NUMBER},
        "x-kubernetes-validations": [rule("self.size >= oldSelf.size", message="no shrinking")],
    }
    schema = spec(items={"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": item})
    old = {"items": [{"name": "a", "size": 2}, {"name": "b", "size": 1}]}
    assert found(schema, {"items": [{"name": "b", "size": 1}, {"name": "a", "size": 1}, {"name": "c", "size": 0}]}, old) == [
        ("Invalid", "spec.items[1]", "Invalid value: no shrinking")
    ]


def test_values_of_maps_have_their_key_in_the_path() -> None:
    schema = spec(
        opts={"type": "object", "additionalProperties": {"type": "string", "x-kubernetes-validations": [rule("self != ''")]}}
    )
    assert found(schema, {"opts": {"a.b": ""}}) == [("Invalid", "spec.opts[a.b]", "Invalid value: \"\": failed rule: self != ''")]


def test_what_broke_a_rule_before_may_stay_as_it_was() -> None:
    schema = spec(name={"type": "string", "x-kubernetes-validations": [rule("self.size() > 3")]}, other=NUMBER)
    assert found(schema, {"name": "ab", "other": 2}, {"name": "ab", "other": 1}) == []
    assert found(schema, {"name": "ac", "other": 1}, {"name": "ab", "other": 1}) != []


def test_rules_wait_until_the_object_is_otherwise_valid() -> None:
    schema = spec(rule("self.a == 'x'"), a=TEXT)
    assert [field for _, field, _ in found(schema, {"a": 5})] == ["spec.a", "<nil>"]


# --------------------------------------------------------------------------- in CRDs

AT = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0]"


def refused(text: str, schema: dict[str, Any] | None = None, **more: Any) -> list[str]:
    properties = {
        "name": TEXT,
        "size": NUMBER,
        "list": {"type": "array", "maxItems": 99, "items": TEXT},
        "flag": {"type": "boolean"},
    }
    whole = schema or spec(rule(text, **more), **properties)
    return said(crd({"type": "object", "properties": {"spec": whole}}))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("self.foo > 1", "ERROR: <input>:1:5: undefined field 'foo'\n | self.foo > 1\n | ....^"),
        ("foo > 1", "ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo > 1\n | ^"),
        (
            "self.name.foo()",
            "ERROR: <input>:1:14: undeclared reference to 'foo' (in container '')\n | self.name.foo()\n | .............^",
        ),
        (
            "self.name > 1",
            "ERROR: <input>:1:11: found no matching overload for '_>_' applied to '(string, int)'\n | self.name > 1\n | ..........^",
        ),
        (
            "self.size == 'a'",
            "ERROR: <input>:1:11: found no matching overload for '_==_' applied to '(int, string)'\n | self.size == 'a'\n | ..........^",
        ),
    ],
)
def test_a_rule_with_wrong_names_or_types_is_refused_with_its_crd(text: str, complaint: str) -> None:
    shown = (
        '{"Rule":'
        + ('"' + text.replace(">", "\\u003e") + '"')
        + ',"Message":"","MessageExpression":"","Reason":null,"FieldPath":""'
    )
    assert refused(text) == [f'{AT}.rule: Invalid value: {shown},"OptionalOldSelf":null}}: compilation failed: {complaint}']


@pytest.mark.parametrize(
    "text",
    [
        "self. + 1",
        "self.name ==",
        "((1)",
        "a b",
        "self.size == 08x",
        "'open",
        "self.?",
        "[?",
        "{",
        "!" * 500,
        "(" * 2000,
        "1+" * 5000 + "1",
    ],
)
def test_what_is_not_cel_is_refused_with_its_crd(text: str) -> None:
    problems = refused(text)
    assert len(problems) == 1
    assert "compilation failed: ERROR: <input>" in problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "self.size > 1 && self.name != '' || !self.flag",
        "self.list.all(x, x.size() < 5) && self.list.exists(x, x == self.name)",
        "!has(self.name) || self.name.matches('^a')",
        "self.?name.orValue('') == ''",
        "self.list.map(x, x + 'a').size() == size(self.list)",
        "cel.bind(n, self.name, n.size() > 1)",
        "self == oldSelf",
    ],
)
def test_a_good_rule_is_accepted(text: str) -> None:
    assert refused(text) == []


def test_other_faults_of_rules() -> None:
    assert refused("self.size")[0].endswith("cel expression must evaluate to a bool")
    assert refused("true", messageExpression="1")[0].endswith("messageExpression must evaluate to a string")
    assert refused("true", optionalOldSelf=True) == [
        f"{AT}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"
    ]
    uncorrelated = spec(
        list={"type": "array", "items": {"type": "string", "x-kubernetes-validations": [rule("self == oldSelf")]}}
    )
    assert refused("", uncorrelated) == [
        (
            "spec.validation.openAPIV3Schema.properties[spec].properties[list].items.x-kubernetes-validations[0].rule: Invalid value: "
            '"self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within '
            "spec.validation.openAPIV3Schema.properties[spec].properties[list]"
        )
    ]


def test_a_default_must_keep_its_rules() -> None:
    name = {"type": "string", "default": "ab", "x-kubernetes-validations": [rule("self.size() > 3")]}
    where = "spec.validation.openAPIV3Schema.properties[spec].properties[name].default"
    assert refused("", spec(name=name)) == [f'{where}: Invalid value: "ab": failed rule: self.size() > 3']


def test_rules_at_the_root_see_the_name_and_no_other_metadata() -> None:
    root = {"type": "object", "properties": {"spec": {"type": "object"}}}
    assert said(crd({**root, "x-kubernetes-validations": [rule("self.metadata.name.size() < 10")]})) == []
    assert "undefined field 'labels'" in said(crd({**root, "x-kubernetes-validations": [rule("has(self.metadata.labels)")]}))[0]
    schema = compile_schema({**root, "x-kubernetes-validations": [rule("self.metadata.name.size() < 3")]})
    assert [cause.field for cause in schema.validate({"metadata": {"name": "long"}})] == ["<nil>"]


@settings(max_examples=150, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(
            [
                "self",
                "oldSelf",
                ".a",
                ".list",
                ".?a",
                "[0]",
                "[?0]",
                "(",
                ")",
                "==",
                "+",
                "-",
                "/",
                "1",
                "0",
                "'x'",
                "x",
                "in",
                "&&",
                "!",
                ".all(x, ",
                ".map(x, ",
                "has(",
                "size(",
                ".size()",
                "? 1 :",
                ",",
                "{",
                "}",
                "null",
                "1u",
                "b'a'",
                ".matches('(')",
            ]
        ),
        max_size=9,
    ).map(" ".join),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "list"]), inner, max_size=2),
        max_leaves=6,
    ),
)
def test_no_rule_and_no_object_brings_a_traceback(text: str, value: Any) -> None:
    refused(text)
    try:
        expression = Expression(text)
    except CelSyntaxError:
        return
    try:
        expression.evaluate({"self": to_cel(value, None), "oldSelf": to_cel(value, None)})
    except CelError:
        return


BUDGET = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
)


def listed(check: str, **limits: int) -> list[str]:
    items = {
        "type": "array",
        "items": {"type": "string", **({"maxLength": limits.pop("maxLength")} if "maxLength" in limits else {})},
        **limits,
    }
    return refused("", spec(rule(check), list=items))


def test_rules_that_could_take_too_long_are_refused_with_their_crd() -> None:
    nested = "self.list.all(x, self.list.all(y, x != y || x == y))"
    assert listed(nested) == [
        f"{AT}.rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x {BUDGET}",
        f"{AT}.rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
        (
            "spec.validation.openAPIV3Schema: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema "
            f"exceeds budget by factor of more than 100x {BUDGET}"
        ),
    ]
    assert listed(nested, maxItems=100) == []
    assert listed("self.list.all(x, x.size() > 0)") == []
    assert listed("self.list.all(x, x.matches('^[a-z]+$'))") != []
    assert listed("self.list.all(x, x.matches('^[a-z]+$'))", maxItems=64, maxLength=63) == []
