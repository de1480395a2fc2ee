"""The smallest operator's tests, as its author would write them. Both ways to write it pass the same ones."""

import hello_typed
import pytest

from operator_kit.errors import Invalid
from operator_kit.testing import assert_object

WORLD = "hello/world.yaml"


@pytest.fixture(params=["hello.py", "hello_typed.py"])
def target(request, cluster):
    cluster.load("hello/crd.yaml" if request.param == "hello.py" else hello_typed.Greeting)
    return request.param


def greeting_of(cluster, name):
    return (cluster.get("ConfigMap", name) or {}).get("data", {}).get("text")


def test_a_greeting_is_written_and_follows_its_object(cluster, operator, target):
    cluster.load(WORLD)
    running = operator(target).settle()
    assert greeting_of(cluster, "world") == "Hello, World!"
    assert_object(cluster.get("Greeting", "world"), {"status": {"text": "Hello, World!"}})

    cluster.patch("Greeting", "world", {"spec": {"name": "Mars"}})
    running.settle()
    assert greeting_of(cluster, "world") == "Hello, Mars!"


def test_what_somebody_else_does_to_it_is_undone(cluster, operator, target):
    cluster.load(WORLD)
    running = operator(target).settle()
    cluster.patch("ConfigMap", "world", {"data": {"text": "Go away!"}})
    running.settle()
    assert greeting_of(cluster, "world") == "Hello, World!"
    cluster.delete("ConfigMap", "world")
    running.settle()
    assert greeting_of(cluster, "world") == "Hello, World!"


def test_it_costs_two_writes_and_a_restart_none(cluster, operator, target, writes):
    cluster.load(WORLD)
    operator(target).settle().stop()
    assert sorted(writes.take()) == ["patch configmaps default/world", "patch greetings.example.com/status default/world"]
    operator(target).settle()
    assert writes.take() == []


def test_nobody_is_greeted_without_a_name(cluster, target):
    with pytest.raises(Invalid, match=r"spec\.name"):
        cluster.load({"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": {"name": "nobody"}, "spec": {"name": ""}})
