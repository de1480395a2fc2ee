"""The site's tests, as its author would write them. Both ways to write it pass the same ones."""

import pytest
import website_typed

from operator_kit.testing import assert_condition, assert_object


@pytest.fixture(params=["website.py", "website_typed.py"])
def target(request, cluster):
    cluster.load("website/crd.yaml" if request.param == "website.py" else website_typed.Website, "website/namespace.yaml")
    return request.param


def test_a_site_gets_what_it_needs_and_follows_its_object(cluster, operator, target):
    cluster.load("website/blog.yaml")
    running = operator(target).settle()
    site = cluster.get("Website", "blog")
    assert_object(site, {"status": {"url": "http://blog.example.com/", "replicas": 0}})
    assert_condition(site, "Available", False, reason="PodsStarting", message="0 of 2 pods")
    assert cluster.get("ConfigMap", "blog-html")["data"]["index.html"] == "<h1>The blog</h1>\n"
    assert_object(cluster.get("Service", "blog"), {"spec": {"ports": [{"port": 80}]}})

    page = pages_of(cluster)
    cluster.patch("Website", "blog", {"spec": {"replicas": 3, "html": "<h1>New</h1>"}})
    running.settle()
    assert_object(cluster.get("Deployment", "blog"), {"spec": {"replicas": 3}})
    assert pages_of(cluster) != page, "a new page must roll the pods"


def pages_of(cluster):
    return cluster.get("Deployment", "blog")["spec"]["template"]["metadata"]["annotations"]["example.com/page"]


@pytest.mark.sandbox(workloads=0)
def test_a_site_becomes_available_with_its_pods(cluster, operator, target):
    cluster.load("website/blog.yaml")
    operator(target)
    cluster.wait("Website", "blog", lambda site: assert_condition(site, "Available", True, reason="PodsReady"))


def test_a_page_that_is_missing_is_told_and_waited_for(cluster, operator, target):
    cluster.load("website/broken.yaml")
    running = operator(target)
    site = cluster.wait("Website", "broken", lambda site: assert_condition(site, "Available", False, reason="PageMissing"))
    running.wait_failing(r"broken: .*the ConfigMap front-page .* does not exist")
    cluster.wait_event(site, reason="TemporaryError", type_="Warning", message="front-page")

    cluster.load(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "front-page", "labels": {"example.com/site": "broken"}},
            "data": {"index.html": "<h1>Mended</h1>"},
        }
    )
    running.settle()
    assert cluster.get("ConfigMap", "broken-html")["data"]["index.html"] == "<h1>Mended</h1>"


def test_its_record_goes_with_it_from_where_no_owner_reaches(cluster, operator, target):
    cluster.load("website/blog.yaml")
    running = operator(target).settle()
    assert cluster.get("ConfigMap", "default.blog", namespace="dns")["data"]["domain"] == "blog.example.com"
    cluster.delete("Website", "blog")
    running.settle()
    cluster.wait_gone("Website", "blog")
    assert cluster.get("ConfigMap", "default.blog", namespace="dns") is None


def test_a_restart_costs_no_write(cluster, operator, target, writes):
    cluster.load("website/blog.yaml")
    operator(target).settle().stop()
    writes.take()
    operator(target).settle()
    assert writes.take() == []
