"""Objects that are kept as the text they came in are the ones that decoding and encoding them would have kept; in both codecs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from operator_kit.cache.records import Entry, encode
from operator_kit.codec import LAST_APPLIED, BadLine, Head, fast, layout, standard

CODECS = [pytest.param(fast, id="fast"), pytest.param(standard, id="standard")]
HEAD = Head("example.com/v1", "Thing")

# Names that are looked for in the text, and values that look like marks, in places where they mean nothing.
NAMES = st.sampled_from(["a", "ü", "managedFields", "status", "resourceVersion", "metadata", "annotations", "kind", LAST_APPLIED])
VALUES = st.sampled_from([None, 0, 1.5, True, "", "x", "ü\n", '"managedFields":null,', '"status":{}}', "<&>", {}, [], "𝄞"])
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
TEXTS = st.dictionaries(NAMES, st.sampled_from(["", "x", "ü", '"managedFields":[]']), max_size=3)
MANAGED = st.lists(st.fixed_dictionaries({"manager": st.just("m"), "fieldsV1": JSON}), max_size=2)
OWNERS = st.lists(
    st.fixed_dictionaries(
        {"apiVersion": st.just("v1"), "kind": st.just("O"), "name": st.just("ö"), "uid": st.sampled_from(["o1", "o2"])},
        optional={"controller": st.booleans(), "blockOwnerDeletion": st.booleans()},
    ),
    max_size=2,
)
META = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["n", "ü"]),
        "uid": st.just("u"),
        "resourceVersion": st.sampled_from(["7", "07", "x", "12345678901"]),
    },
    optional={
        "namespace": st.sampled_from(["ns", ""]),
        "generation": st.integers(0, 3) | st.none(),
        "labels": TEXTS | st.none(),
        "annotations": st.dictionaries(NAMES | st.just(LAST_APPLIED), st.sampled_from(["", "x", '{"a":"ü"}']), max_size=3),
        "ownerReferences": OWNERS | st.none(),
        "finalizers": st.lists(st.sampled_from(["f", "g"]), max_size=2) | st.none(),
        "creationTimestamp": st.just("2026-01-01T00:00:00Z") | st.none(),
        "deletionTimestamp": st.just("2026-01-01T00:00:00Z") | st.none(),
        "managedFields": MANAGED | st.none(),
        "somethingNew": JSON,
    },
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """Custom resources have their members sorted; built-in kinds begin with the kind; lists leave it out."""
    obj = draw(
        st.fixed_dictionaries(
            {"metadata": META}, optional={"spec": JSON, "data": TEXTS, "status": JSON, "webhooks": JSON, "managedFields": JSON}
        )
    )
    kind = {"apiVersion": "example.com/v1", "kind": "Thing"}
    match draw(st.integers(0, 3)):
        case 0:
            return kind | dict(sorted(obj.items()))
        case 1:
            return {"kind": kind["kind"], "apiVersion": kind["apiVersion"]} | obj
        case 2:
            return obj
        case _:
            return dict(draw(st.permutations(list((kind | obj).items()))))


def as_text(obj: Any, *, spaces: bool, ascii_: bool) -> str:
    return json.dumps(obj, separators=None if spaces else (",", ":"), ensure_ascii=ascii_)


def stripped(obj: dict[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(obj))
    meta = copy["metadata"]
    meta.pop("managedFields", None)
    annotations = meta.get("annotations")
    if isinstance(annotations, dict) and LAST_APPLIED in annotations:
        del annotations[LAST_APPLIED]
        if not annotations:
            del meta["annotations"]
    return {"apiVersion": "example.com/v1", "kind": "Thing"} | copy


def open_event(codec: Any, text: str) -> Any:
    (event,) = codec.read_events(f'{{"type":"MODIFIED","object":{text}}}\n'.encode(), strip=True)
    assert event.type == "MODIFIED"
    return event


def open_item(codec: Any, text: str) -> Any:
    found: list[Any] = []
    codec.visit_raw(f'{{"kind":"ThingList","items":[{text}]}}'.encode(), found.append, strip=True)
    return found[0]


def kept(raw: Any) -> Entry:
    """As an informer does it: the quick way, or, where that declines, the other."""
    record = raw.record(HEAD)
    if record is None:
        obj = raw.decode()
        record = encode(obj | {"apiVersion": "example.com/v1", "kind": "Thing"})
    return Entry(record)


@pytest.mark.parametrize("codec", CODECS)
@given(obj=objects(), spaces=st.booleans(), ascii_=st.booleans())
@settings(deadline=None, max_examples=60)
@example(obj={"metadata": {"managedFields": [1], "name": "n", "uid": "u", "resourceVersion": "7"}}, spaces=False, ascii_=True)
@example(obj={"metadata": {"name": "n", "uid": "u", "managedFields": []}, "status": {"status": {}}}, spaces=False, ascii_=True)
@example(obj={"spec": {"managedFields": 1}, "metadata": {"name": "n", "uid": "u"}}, spaces=False, ascii_=True)
def test_what_is_kept_is_what_was_sent_without_what_is_stripped(codec: Any, obj: Any, spaces: bool, ascii_: bool) -> None:
    text = as_text(obj, spaces=spaces, ascii_=ascii_)
    reference = Entry(encode(stripped(obj)))
    for opened in (open_event(codec, text), open_item(codec, text)):
        assert opened.identity() in {None, (reference.key, reference.uid, reference[2])}
        entry = kept(opened)
        assert entry.decode() == stripped(obj)
        assert entry[:8] == reference[:8]
        assert entry.labels == reference.labels
        assert entry.owners == reference.owners


STRUCT_ORDER = (
    *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *(
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ),
)
SIMPLE = st.sampled_from(
    ["", "x", "ü", "}", "]", "[{", '"', "\n", "\\", "𝄞", "\x7f", "<", "/", '{"a":"\\"b"}', '"managedFields":[]']
)


@st.composite
def usual(draw: st.DrawFn) -> dict[str, Any]:
    """An object as API servers write it: built-in kinds in the order of their structs, custom resources sorted."""
    meta = draw(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["n", "ü"]),
                "uid": st.just("u"),
                "resourceVersion": st.sampled_from(["7", "12345678901"]),
                "creationTimestamp": st.just("2026-01-01T00:00:00Z"),
            },
            optional={
                "generateName": st.just("n-"),
                "namespace": st.just("ns"),
                "selfLink": st.just("/x"),
                "generation": st.integers(1, 3),
                "deletionTimestamp": st.just("2026-01-01T00:00:00Z"),
                "deletionGracePeriodSeconds": st.sampled_from([0, 30]),
                "labels": st.dictionaries(SIMPLE, SIMPLE, max_size=2),
                "annotations": st.dictionaries(SIMPLE | st.just(LAST_APPLIED), SIMPLE, max_size=2),
                "ownerReferences": OWNERS,
                "finalizers": st.lists(SIMPLE, max_size=2),
                "managedFields": st.lists(ENTRIES, max_size=2),
            },
        )
    )
    rest = draw(st.fixed_dictionaries({}, optional={"data": TEXTS, "spec": JSON, "status": JSON}))
    if draw(st.booleans()):
        meta = {name: meta[name] for name in STRUCT_ORDER if name in meta}
        return {"kind": "Thing", "apiVersion": "example.com/v1", "metadata": meta} | rest
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": dict(sorted(meta.items()))} | rest


@pytest.mark.parametrize("codec", CODECS)
@given(obj=usual(), ascii_=st.booleans(), kind=st.sampled_from(["ADDED", "MODIFIED", "DELETED"]))
@settings(deadline=None, max_examples=100)
def test_an_event_of_the_usual_layout_is_kept_as_any_other(codec: Any, obj: Any, ascii_: bool, kind: str) -> None:
    text = as_text(obj, spaces=False, ascii_=ascii_)
    reference = Entry(encode(stripped(obj)))
    (event,) = codec.read_events(f'{{"type":"{kind}","object":{text}}}\n'.encode(), strip=True)
    assert event.type == kind
    assert event.kind == "Thing"
    assert event.identity() == reference[:3]
    assert event.record(Head("example.com/v1", "Other")) is None
    entry = kept(event)
    assert entry.decode() == stripped(obj)
    assert entry[:8] == reference[:8]
    assert entry.labels == reference.labels
    if not ascii_:  # what is encoded again has no escapes
        assert entry.digest == kept(open_item(codec, text)).digest


@given(obj=usual())
@settings(deadline=None, max_examples=60)
def test_what_is_decoded_of_an_event_of_the_usual_layout_is_all_of_it(obj: Any) -> None:
    event = layout.open_event(f'{{"type":"ADDED","object":{as_text(obj, spaces=False, ascii_=False)}}}')
    if event is not None:
        obj["metadata"].pop("managedFields", None)
        assert event.decode() == obj


@pytest.mark.parametrize("sort", [False, True])
def test_the_usual_layout_is_recognised_with_every_member_and_with_few(sort: bool) -> None:
    few = {"name": "n", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}
    every = {
        "generateName": "n-",
        "namespace": "ns",
        "selfLink": "/x",
        "generation": 3,
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 30,
        "labels": {"a": "b"},
        "annotations": {"a": '{"b":"c"}\n', "d": ""},
        "ownerReferences": [{"apiVersion": "v1", "kind": "O", "name": "o", "uid": "o1", "controller": True}],
        "finalizers": ["f", "g"],
        "managedFields": [{"manager": "m", "fieldsV1": {'k:{"uid":"x"}': {}}}],
    }
    for meta in (few, few | every):
        order = sorted(meta) if sort else [name for name in STRUCT_ORDER if name in meta]
        kind = {"apiVersion": "example.com/v1", "kind": "Thing"} if sort else {"kind": "Thing", "apiVersion": "example.com/v1"}
        for rest in ({}, {"spec": {"metadata": 1}, "status": {"a": [1]}}):
            obj = kind | {"metadata": {name: meta[name] for name in order}} | rest
            event = layout.open_event(f'{{"type":"MODIFIED","object":{as_text(obj, spaces=False, ascii_=True)}}}')
            assert event is not None
            assert kept(event).decode() == stripped(obj)


LAID_OUT = (
    '{"type":"ADDED","object":{"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"n","uid":"u","resourceVersion":"7",'
    '"creationTimestamp":"2026-01-01T00:00:00Z"%s},"spec":{"a":1}%s}}'
)


@pytest.mark.parametrize(
    ("more", "rest"),
    [
        (',"labels":{"a":"b"},"labels":{"c":"d"}', ""),
        (',"labels":{"a":{}}', ""),
        (',"labels":{"a":"\x01"}', ""),
        (',"labels":{"a"}', ""),
        (',"labels":{a}', ""),
        (',"labels":{"a":"b"}}', ""),
        (',"labels":{"a":"b}","x":{"c":"d"}', ""),
        (',"annotations":{"a":"\x01"}', ""),
        (',"annotations":{"a":"\\x"}', ""),
        (',"annotations":{"a":1}', ""),
        (',"annotations":{"\\u006b":""}', ""),
        (f',"annotations":{{"{LAST_APPLIED}":"{{}}"}}', ""),
        (',"ownerReferences":[{"name":"a]"}]', ""),
        (',"ownerReferences":[{"name":"a}]"}]', ""),
        (',"ownerReferences":[{"name":}]', ""),
        (',"finalizers":[]', ""),
        (',"somethingNew":1', ""),
        (',"generation":01', ""),
        (',"managedFields":[{"a":[1]}]', ""),
        (',"managedFields":[{"manager":"}]"}]', ""),
        (',"managedFields":[{]', ""),
        (' ,"generation":1', ""),
        ("", ',"metadata":{"name":"other","uid":"u"}'),
        ("", ',"meta\\u0064ata":{"name":"other","uid":"u"}'),
        ("", ',"kind":"Other"'),
        ("", ',"apiVersion":"v2"'),
        ("", "}"),
        ("", ","),
        ("", ',"a":NaN'),
        ("", ' ,"a":1'),
        ("", ',"a":1}}{'),
    ],
)
def test_what_is_not_of_the_usual_layout_is_left_to_the_decoder(more: str, rest: str) -> None:
    line = LAID_OUT % ("", "")
    assert layout.open_event(line) is not None
    event = layout.open_event(LAID_OUT % (more, rest))
    if event is not None:  # then it is what a parser reads
        expected = json.loads(LAID_OUT % (more, rest))["object"]
        assert kept(event).decode() == stripped(expected)
    for cut in range(1, len(line)):
        assert layout.open_event(line[:-cut]) is None


def test_damage_in_what_is_thrown_away_harms_nothing_else() -> None:
    event = layout.open_event(LAID_OUT % (',"managedFields":[{"manager":tru}]', ""))
    assert event is not None
    expected = stripped(json.loads(LAID_OUT % ("", ""))["object"])
    assert event.decode() == expected
    assert kept(event).decode() == expected


@pytest.mark.parametrize("codec", CODECS)
@given(obj=objects(), ascii_=st.booleans())
@settings(deadline=None, max_examples=60)
def test_what_is_not_kept_is_decoded_whole(codec: Any, obj: Any, ascii_: bool) -> None:
    text = as_text(obj, spaces=False, ascii_=ascii_)
    (event,) = codec.read_events(f'{{"type":"ADDED","object":{text}}}\n'.encode(), strip=False)
    assert event.decode() == obj
    found: list[Any] = []
    codec.visit_raw(f'{{"items":[{text},{text}]}}'.encode(), lambda raw: found.append(raw.decode()), strip=False)
    assert found == [obj, obj]


@pytest.mark.parametrize("codec", CODECS)
@example(
    obj={
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "data": {"resourceVersion": "x"},
        "metadata": {"annotations": {"resourceVersion": "x"}, "name": "n", "uid": "u", "resourceVersion": "x"},
    },
    status=None,
    version="8",
    managed=[],
)
@given(obj=objects(), status=JSON, version=st.sampled_from(["8", "900"]), managed=MANAGED)
@settings(deadline=None, max_examples=60)
def test_the_digest_is_the_same_whichever_way_an_object_came(
    codec: Any, obj: Any, status: Any, version: str, managed: Any
) -> None:
    """A list and a watch, the quick way and the other, before and after a change of the status."""
    text = as_text(obj, spaces=False, ascii_=False)
    listed, told = kept(open_item(codec, text)), kept(open_event(codec, text))
    assert listed.digest == told.digest
    later = json.loads(text)
    later["metadata"]["resourceVersion"] = version
    if "status" in later:
        later["status"] = status
    if "managedFields" in later["metadata"]:
        later["metadata"]["managedFields"] = managed
    assert kept(open_event(codec, as_text(later, spaces=False, ascii_=False))).digest == told.digest
    later["metadata"].setdefault("labels", {})
    later["metadata"]["labels"] = {**(later["metadata"]["labels"] or {}), "other": "label"}
    assert kept(open_event(codec, as_text(later, spaces=False, ascii_=False))).digest != told.digest


# Texts that look like the end of managedFields, or like its contents.
MARKS = st.text('[]{}",:\\\\a', max_size=6) | st.sampled_from(["}]", '}],"a', "}]},", '}]},"spec', "}]}}", "f:a", 'k:{"a":"]"}'])
SETS = st.recursive(st.just({}), lambda inner: st.dictionaries(MARKS, inner, max_size=3), max_leaves=6)
ENTRIES = st.fixed_dictionaries({"manager": MARKS, "fieldsV1": SETS}, optional={"subresource": st.just("status"), "odd": JSON})


@given(managed=st.lists(ENTRIES, max_size=3), more=st.dictionaries(MARKS, MARKS | JSON, max_size=2), first=st.booleans())
@settings(deadline=None, max_examples=200)
@example(managed=[{"manager": "}]", "fieldsV1": {}}], more={}, first=True)
@example(managed=[{"manager": '}],"a', "fieldsV1": {}}], more={"a": 1}, first=True)
@example(managed=[{"manager": "m", "fieldsV1": {"}]},": {}}}], more={"a": 1}, first=True)
@example(managed=[{"manager": "m", "fieldsV1": {"}]}}": {}}}], more={}, first=False)
def test_the_end_of_what_is_thrown_away_is_found_without_decoding_it(managed: Any, more: Any, first: bool) -> None:
    """Whatever it holds, and whatever follows: the next member of the metadata, of the object, of a list, or nothing."""
    name = '"managedFields":'
    meta = {"managedFields": managed} | more if first else more | {"managedFields": managed}
    value = as_text(managed, spaces=False, ascii_=True)
    for whole in (
        {"type": "MODIFIED", "object": {"kind": "Thing", "metadata": meta, "spec": more}},
        {"type": "MODIFIED", "object": {"metadata": meta}},
        {"items": [{"metadata": meta}, {"metadata": meta}]},
    ):
        text = as_text(whole, spaces=False, ascii_=True)
        start = text.index(name + value) + len(name)
        assert standard._end_of_managed(text, start) == start + len(value)


USUAL = (
    '{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"annotations":{%s},"managedFields":[{"manager":"m"}],"name":"n",'
    '"resourceVersion":"7","uid":"u"},"spec":{"a":1},"status":{"ready":true}}'
)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("annotations", ["", '"a":"b"', f'"{LAST_APPLIED}":"{{}}"', f'"a":"b","{LAST_APPLIED}":"{{}}\\n","c":""'])
def test_what_api_servers_send_goes_the_quick_way(codec: Any, annotations: str) -> None:
    for opened in (open_event(codec, USUAL % annotations), open_item(codec, USUAL % annotations)):
        record = opened.record(HEAD)
        assert record is not None
        assert b"managedFields" not in record[9]
        assert LAST_APPLIED.encode() not in record[9]
        assert record[9].endswith(b',"spec":{"a":1},"status":{"ready":true}}')


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "text",
    [
        # Members that stand there twice: the last one counts, as for every JSON parser.
        '{"metadata":{"name":"x","uid":"y"},"metadata":{"name":"n","uid":"u","managedFields":[1]}}',
        '{"metadata":{"name":"n","uid":"u","managedFields":[1],"managedFields":[2]},"spec":1}',
        '{"metadata":{"name":"n","uid":"u","managed\\u0046ields":[1],"managedFields":[2]}}',
        '{"metadata":{"name":"n","uid":"u","managedFields":[2],"managed\\u0046ields":[1]}}',
        '{"metadata":{"name":"n","uid":"u","managed\\u0046ields":[1]}}',
        '{"metadata":{"name":"n","uid":"u"},"spec":{"managedFields":[1]},"spec":{"managedFields":null}}',
        '{"metadata":{"name":"n","uid":"u"},"status":{"a":1},"spec":{"status":1},"status":{"b":2}}',
        '{"metadata":{"name":"n","uid":"u","generation":1,"generation":2},"st\\u0061tus":1}',
        '{"metadata":{"name":"m","name":"n","uid":"u","labels":{"managedFields":"x"},"managedFields":[1]}}',
        '{"metadata":{"name":"n","uid":"u","managedFields" :[1]}}',
        '{"metadata":{"name":"n","uid":"u","managedFields": [1]}}',
        '{"kind":"Thing","metadata":{"name":"n","uid":"u"},"apiVersion":"example.com/v1"}',
        '{"metadata":{"name":"n","uid":"u","big":1e999},"spec":-0.0}',
        f'{{"metadata":{{"labels":{{"{LAST_APPLIED}":"x","z":""}},"annotations":{{"{LAST_APPLIED}":"y","a":""}},"name":"n","uid":"u"}}}}',
        f'{{"metadata":{{"annotations":{{"{LAST_APPLIED}":"x","{LAST_APPLIED}":"y"}},"name":"n","uid":"u"}}}}',
        f'{{"metadata":{{"annotations":{{"{LAST_APPLIED}": "x"}},"name":"n","uid":"u"}}}}',
        f'{{"metadata":{{"annotations":{{"{LAST_APPLIED}":null,"a":1}},"name":"n","uid":"u"}}}}',
        '{"metadata":{"name":"n\\u0000","uid":"\\ud834\\udd1e"}}',
    ],
)
def test_odd_documents_are_kept_as_a_parser_reads_them(codec: Any, text: str) -> None:
    expected = stripped(json.loads(text)) if "1e999" not in text else None
    for opened in (open_event(codec, text), open_item(codec, text)):
        entry = kept(opened)
        if expected is not None:
            assert entry.decode() == expected
        assert "managedFields" not in entry.decode()["metadata"]


@pytest.mark.parametrize("codec", CODECS)
def test_an_object_of_another_kind_is_not_kept_the_quick_way(codec: Any) -> None:
    text = USUAL.replace('"Thing"', '"Other"') % ""
    for opened in (open_event(codec, text), open_item(codec, text)):
        assert opened.kind == "Other"
        assert opened.record(HEAD) is None
        assert opened.decode()["kind"] == "Other"
    assert open_event(codec, '{"kind":7}').kind == "7"
    assert open_event(codec, "{}").kind is None


@pytest.mark.parametrize("codec", CODECS)
def test_metadata_alone_is_kept_under_its_own_kind(codec: Any) -> None:
    head = Head("v1", "ConfigMap", metadata_only=True)
    meta = '"metadata":{"name":"n","uid":"u","resourceVersion":"1","managedFields":[]}}'
    for beginning in (
        '{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",',
        '{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata",',
    ):
        record = open_event(codec, beginning + meta).record(head)
        assert record is not None
        assert record[9].startswith(b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{')


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"  ",
        b"null",
        b"[]",
        b"{not json}",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":[]}',
        b'{"type":1,"object":{}}',
        b'{"type":"ADDED","object":{"a":"\xff"}}',
        b'{"type":"ADDED","object":{"a":\xef\xbb\xbf1}}',
        b'{"type":"ADDED","object":{"a":"\x01"}}',
        b'{"type":"ADDED","object":{"a":NaN}}',
        b'{"type":"ADDED","object":{"a":01}}',
        b'{"type":"ADDED","object":{"a":1,}}',
        b'{"type":"ADDED","object":{"a":1}} {}',
        b'{"type":"ADDED","object":{"a":1}}}',
        b'{"type":"ADDED","object":{"metadata":{"managedFields":[{]}}}',
        b'{"type":"ADDED","object":{"metadata":{"managedFields":[}}}',
        b'{"type":"ADDED","object":{"metadata":{"managedFields":}}}',
        b'{"type":"ADDED","object":{"metadata":{"managedFields":[1] x}}}',
        b'{"type":"ADDED","object":{"spec":{"status":1}',
        b'{"type":"ADDED","object":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"ADDED","object":{"managedFields":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    ],
)
def test_a_line_that_is_no_event_is_told_after_the_events_before_it(codec: Any, bad: bytes) -> None:
    good = b'{"type":"ADDED","object":{"a":1}}'
    for ending in (b"\n", b"\n" + good + b"\n"):
        events = iter(codec.read_events(good + b"\n" + bad + ending, strip=True))
        assert next(events).decode() == {"a": 1}
        with pytest.raises(BadLine) as caught:
            next(events)
        assert caught.value.line == bad


@pytest.mark.parametrize("codec", CODECS)
def test_one_page_may_hold_what_must_be_read_anew(codec: Any) -> None:
    """A mark in the wrong place is found in the middle of a page: what came before it is not visited twice."""
    usual = USUAL % ""
    odd = '{"metadata":{"name":"n","uid":"u"},"spec":{"managedFields":[1]}}'
    found: list[Any] = []
    codec.visit_raw(
        f'{{"items":[{usual},{odd},{usual},{odd}]}}'.encode(), lambda raw: found.append(kept(raw).decode()), strip=True
    )
    assert found == [stripped(json.loads(text)) for text in (usual, odd, usual, odd)]
