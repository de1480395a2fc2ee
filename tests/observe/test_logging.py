"""Lines are bound to what they are about, in both formats."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_kit.observe.logging import BoundLogger, JsonFormatter, TextFormatter, bound, configure, stack


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def lines(restored: None) -> io.StringIO:
    return io.StringIO()


def test_every_line_of_a_reconcile_is_bound_the_authors_own_included(lines: io.StringIO) -> None:
    configure(format="json", stream=lines)
    with bound(controller="website", namespace="default", name="blog", reconcile_id="ab12", reason=""):
        logging.getLogger("authors.module").warning("hello %s", "you")
    logging.getLogger("authors.module").warning("outside")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["message"], first["level"], first["logger"]) == ("hello you", "warning", "authors.module")
    assert (first["controller"], first["namespace"], first["name"], first["reconcile_id"]) == (
        "website",
        "default",
        "blog",
        "ab12",
    )
    assert "reason" not in first
    assert "controller" not in second
    assert first["time"].endswith("Z")


def test_a_bound_logger_keeps_its_fields_in_a_thread_of_the_authors(lines: io.StringIO) -> None:
    configure(format="json", stream=lines)
    log = BoundLogger(logging.getLogger("x"), {"controller": "website", "name": "blog"})
    thread = threading.Thread(target=lambda: log.warning("from a thread", extra={"more": 1}))
    thread.start()
    thread.join()
    assert json.loads(lines.getvalue())["name"] == "blog"


@pytest.mark.parametrize("level", ["debug", "info"])
def test_an_error_is_in_one_json_line_with_its_place_and_when_debugging_its_traceback(lines: io.StringIO, level: str) -> None:
    configure(format="json", level=level, stream=lines)
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("x").exception("failed")
    document = json.loads(lines.getvalue())
    assert document["error"] == "ValueError: boom"
    assert re.fullmatch(r".*test_logging\.py:\d+ in test_an_error.*", document["at"])
    assert ("Traceback" in document.get("traceback", "")) is (level == "debug")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@given(message=st.text(), value=st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.binary()), name=st.text())
@settings(max_examples=60, deadline=None)
def test_a_json_line_can_be_read_whatever_is_in_it(message: str, value: object, name: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "f.py", 1, message, (), (Unspeakable, Unspeakable(), None))
    with bound(**{f"a{name}": value, "level": "mine", "controller": Unspeakable(), "when": {"a": {1, 2}}}):
        line = JsonFormatter().format(record)
    document = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert "\n" not in line
    assert document["level"] == "info"  # a field does not take the place of what every line has
    assert document["error"] == "Unspeakable: <Unspeakable without a text>"
    line.encode()


@given(message=st.text(), name=st.text())
def test_a_text_line_is_one_line_whatever_is_in_it(message: str, name: str) -> None:
    record = logging.LogRecord("x", logging.WARNING, "f.py", 1, message, (), None)
    with bound(controller=f"c{name}", namespace=name, name=f"n{name}", reconcile_id=name):
        line = TextFormatter().format(record)
    assert "\n" not in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("message", "arguments"), [("%d", ("x",)), ("%s", ()), ("%s %s", (1,)), ("%(a)s", (1,)), ("%s", (Unspeakable(),))]
)
def test_a_line_is_not_lost_because_its_arguments_do_not_fit(message: str, arguments: tuple[object, ...]) -> None:
    record = logging.LogRecord("x", logging.INFO, "f.py", 1, message, arguments, None)
    assert message in json.loads(JsonFormatter().format(record))["message"]  # logging's own complaint would be no JSON
    assert message in TextFormatter().format(record)


def test_the_stack_of_a_thread_follows_its_line(lines: io.StringIO) -> None:
    configure(stream=lines)
    logging.getLogger("x").error("it hangs", extra=stack(["a.py:1 in f: g()", "b.py:2 in g: wait()"]))
    assert lines.getvalue().splitlines()[1:] == ["    a.py:1 in f: g()", "    b.py:2 in g: wait()"]


def test_a_line_of_text_begins_with_its_own_local_time() -> None:
    formatter = TextFormatter()
    for created in (1_700_000_000.25, 1_700_000_000.5, 1_700_000_061.0, 1_700_000_000.125):  # the same second, another, and back
        record = logging.makeLogRecord({"msg": "hello", "created": created, "msecs": created % 1 * 1000})
        assert formatter.format(record).startswith(f"{datetime.fromtimestamp(created).astimezone():%H:%M:%S.%f}"[:-3])


def test_text_names_controller_and_object_and_shows_control_characters(lines: io.StringIO) -> None:
    configure(stream=lines)
    with bound(controller="website", namespace="default", name="blog", reconcile_id="ab12"):
        logging.getLogger("x").info("one\nline\x1b[2J")
        logging.getLogger("x").warning("two")
    first, second = lines.getvalue().splitlines()
    assert first.endswith("INFO    website default/blog  one\\nline\\x1b[2J")
    assert second.endswith("WARNING website default/blog  two  [ab12]")


def test_the_level_holds_and_configuring_again_replaces(lines: io.StringIO) -> None:
    configure(level="debug", stream=io.StringIO())
    configure(level="warning", stream=lines)
    logging.getLogger("x").info("not shown")
    logging.getLogger("x").warning("shown")
    logging.getLogger("urllib3").info("not shown")
    assert len(lines.getvalue().splitlines()) == 1


def test_unprintable_values_do_not_break_a_line(lines: io.StringIO) -> None:
    configure(format="json", stream=lines)
    with bound(controller=object()):
        logging.getLogger("x").warning("x")
    assert "object object" in json.loads(lines.getvalue())["controller"]
