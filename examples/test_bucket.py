"""The bucket's tests, as its author would write them: with the provider's stand-in. Both ways to write it pass the same ones."""

import threading

import bucket_typed
import pytest
from storage import StandIn

from operator_kit.testing import assert_condition

PHOTOS = "bucket/photos.yaml"


@pytest.fixture
def provider(monkeypatch):
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="provider")
        thread.start()
        monkeypatch.setenv("STORAGE_URL", server.url)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=["bucket.py", "bucket_typed.py"])
def target(request, cluster, provider):
    cluster.load("bucket/crd.yaml" if request.param == "bucket.py" else bucket_typed.Bucket)
    return request.param


def ready(obj):
    assert_condition(obj, "Ready", True)


def test_a_bucket_is_made_and_its_key_handed_over(cluster, operator, target, provider):
    cluster.load(PHOTOS)
    operator(target)
    cluster.wait("Bucket", "photos", ready)
    [made] = provider.buckets
    assert (made["region"], made["versioned"]) == ("north", False)
    assert cluster.get("Bucket", "photos")["status"]["id"] == made["id"]
    assert set(cluster.get("Secret", "photos-bucket")["data"]) == {"id", "key"}


def test_an_answer_that_is_lost_makes_no_second_bucket(cluster, operator, target, provider):
    provider.lose = 1
    cluster.load(PHOTOS)
    operator(target)
    cluster.wait("Bucket", "photos", ready, timeout=20)
    assert len(provider.buckets) == 1


def test_a_status_that_is_lost_makes_no_second_bucket(cluster, operator, target, provider, faults):
    faults.add("status", verb="patch", resource="buckets.example.com/status", code=500, count=2)
    cluster.load(PHOTOS)
    operator(target)
    cluster.wait("Bucket", "photos", ready)
    assert cluster.get("Bucket", "photos")["status"]["id"] == provider.buckets[0]["id"]
    assert len(provider.buckets) == 1


def test_a_provider_that_is_busy_is_asked_again(cluster, operator, target, provider):
    provider.busy = True
    cluster.load(PHOTOS)
    operator(target)
    cluster.wait("Bucket", "photos", lambda obj: assert_condition(obj, "Reconciled", False, message="provider is busy"))
    cluster.wait_event("Bucket", "photos", reason="TemporaryError", type_="Warning", message="maintenance")
    provider.busy = False
    cluster.wait("Bucket", "photos", ready)


def test_a_refusal_is_told_and_not_repeated(cluster, operator, target, provider):
    cluster.load({"apiVersion": "example.com/v1", "kind": "Bucket", "metadata": {"name": "lost"}, "spec": {"region": "west"}})
    running = operator(target).settle()
    assert_condition(cluster.get("Bucket", "lost"), "Ready", False, reason="Refused", message="there is no region west")
    assert len(provider.calls) == 1
    cluster.delete("Bucket", "lost")
    running.settle()
    cluster.wait_gone("Bucket", "lost")


def test_a_change_of_the_object_reaches_the_provider(cluster, operator, target, provider):
    cluster.load(PHOTOS)
    running = operator(target)
    cluster.wait("Bucket", "photos", ready)
    cluster.patch("Bucket", "photos", {"spec": {"versioned": True}})
    running.settle()
    assert provider.buckets[0]["versioned"] is True


def test_what_was_lost_over_there_is_found_by_looking_again(cluster, operator, target, provider):
    cluster.load(PHOTOS)
    running = operator(target)
    cluster.wait("Bucket", "photos", ready)
    provider.tokens.clear()
    cluster.patch("Bucket", "photos", {"metadata": {"annotations": {"look": "again"}}})  # as `requeue_every` does in its time
    running.settle()
    cluster.wait("Bucket", "photos", lambda obj: obj["status"]["id"] == provider.buckets[0]["id"])


@pytest.mark.parametrize(("policy", "left"), [("Delete", 0), ("Retain", 1)])
def test_deleting_the_object_does_what_its_policy_says(cluster, operator, target, provider, policy, left):
    cluster.load(PHOTOS)
    cluster.patch("Bucket", "photos", {"spec": {"deletionPolicy": policy}})
    running = operator(target)
    cluster.wait("Bucket", "photos", ready)
    provider.busy = True
    cluster.delete("Bucket", "photos")
    cluster.wait("Bucket", "photos", lambda obj: obj["metadata"]["finalizers"])  # it stays while the provider cannot be asked
    provider.busy = False
    cluster.wait_gone("Bucket", "photos")
    running.settle()
    assert len(provider.buckets) == left
