"""Lines are bound to what they are about, in both formats."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from operator_kit.observe.logging import BoundLogger, bound, configure


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


def test_an_error_has_its_traceback_in_one_json_line(lines: io.StringIO) -> None:
    configure(format="json", stream=lines)
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("x").exception("failed")
    document = json.loads(lines.getvalue())
    assert document["error"] == "ValueError: boom"
    assert "Traceback" in document["traceback"]


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
