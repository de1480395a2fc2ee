"""What an operator exports is what the page says, under the names, types, labels and buckets that dashboards know."""

from __future__ import annotations

import re
import urllib.request

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from operator_kit.leader import Elector, Rules
from tests.manager.test_serving import write_pair
from tests.processes import ROOT, eventually, free_port, operator_kit

# The golden list: client-go and controller-runtime, as far as they can exist here.
UPSTREAM = {
    "workqueue_depth": ("gauge", {"name", "controller", "priority"}),
    "workqueue_adds_total": ("counter", {"name", "controller"}),
    "workqueue_queue_duration_seconds": ("histogram", {"name", "controller"}),
    "workqueue_work_duration_seconds": ("histogram", {"name", "controller"}),
    "workqueue_unfinished_work_seconds": ("gauge", {"name", "controller"}),
    "workqueue_longest_running_processor_seconds": ("gauge", {"name", "controller"}),
    "workqueue_retries_total": ("counter", {"name", "controller"}),
    "controller_runtime_reconcile_total": ("counter", {"controller", "result"}),
    "controller_runtime_reconcile_errors_total": ("counter", {"controller"}),
    "controller_runtime_terminal_reconcile_errors_total": ("counter", {"controller"}),
    "controller_runtime_reconcile_panics_total": ("counter", {"controller"}),
    "controller_runtime_reconcile_timeouts_total": ("counter", {"controller"}),
    "controller_runtime_reconcile_time_seconds": ("histogram", {"controller"}),
    "controller_runtime_max_concurrent_reconciles": ("gauge", {"controller"}),
    "controller_runtime_active_workers": ("gauge", {"controller"}),
    "rest_client_requests_total": ("counter", {"code", "method", "host"}),
    "rest_client_request_duration_seconds": ("histogram", {"verb", "host"}),
    "rest_client_request_size_bytes": ("histogram", {"verb", "host"}),
    "rest_client_response_size_bytes": ("histogram", {"verb", "host"}),
    "leader_election_master_status": ("gauge", {"name"}),
    "leader_election_slowpath_total": ("counter", {"name"}),
    "certwatcher_read_certificate_total": ("counter", set()),
    "certwatcher_read_certificate_errors_total": ("counter", set()),
    "process_cpu_seconds_total": ("counter", set()),
    "process_resident_memory_bytes": ("gauge", set()),
}
SIZES = [64.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0]
DECADES = [float(f"1e{power}") for power in range(-8, 4)]
RECONCILE = [
    *(
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.15,
        0.2,
        0.25,
        0.3,
        0.35,
        0.4,
        0.45,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        1.0,
        1.25,
        1.5,
        1.75,
        2.0,
        2.5,
    ),
    *(3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0),
]
BUCKETS = {
    "workqueue_queue_duration_seconds": DECADES,
    "workqueue_work_duration_seconds": DECADES,
    "controller_runtime_reconcile_time_seconds": RECONCILE,
    "rest_client_request_duration_seconds": [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0],
    "rest_client_request_size_bytes": SIZES,
    "rest_client_response_size_bytes": SIZES,
}
# There from the start, before anything has happened: a dashboard shows zero, and a rate has a beginning.
IDLE = """
from operator_kit import reconciler
@reconciler("v1/Secret", name="idle", selector="nothing=has-this-label")
def idle(obj, ctx): ...
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metric]:
    """What a real operator exports that has synced, and has not reconciled anything yet."""
    folder = tmp_path_factory.mktemp("metrics")
    write_pair(folder, "localhost")
    target = folder / "idle_operator.py"
    target.write_text(IDLE)
    port = free_port()
    arguments = ["run", "--sandbox", str(target), "--metrics-bind-address", f"127.0.0.1:{port}", "--metrics-secure"]
    arguments += ["--metrics-cert-file", str(folder / "tls.crt"), "--metrics-key-file", str(folder / "tls.key")]
    arguments += ["--health-probe-bind-address", f"127.0.0.1:{port}"]
    with operator_kit(*arguments, log=folder / "log") as process:
        base = f"https://localhost:{port}"
        import ssl

        context = ssl.create_default_context(cafile=str(folder / "tls.crt"))

        def read(path: str) -> str:
            try:
                with urllib.request.urlopen(base + path, timeout=30, context=context) as response:
                    return str(response.read().decode())
            except OSError:
                assert process.process.poll() is None, process.output()
                return ""

        eventually(lambda: read("/readyz"), "ready")
        text = read("/metrics")
        assert process.stop() == 0, process.output()
    return families(text)


def families(text: str) -> dict[str, Metric]:
    found = {}
    for metric in text_string_to_metric_families(text):
        found[f"{metric.name}_total" if metric.type == "counter" else metric.name] = metric
    return found


def labels(metric: Metric) -> set[str]:
    return {label for sample in metric.samples for label in sample.labels} - {"le"}


def election() -> dict[str, tuple[str, set[str]]]:
    elector = Elector(None, Rules("ns", "lease", "me"))  # type: ignore[arg-type]  # it is not started
    return {family.name: (family.kind, set(family.label_names)) for family in elector.collect()}


def test_every_name_of_upstream_is_exported_with_its_type_and_labels(exported: dict[str, Metric]) -> None:
    found = {name: (metric.type, labels(metric)) for name, metric in exported.items() if name in UPSTREAM}
    assert {**election(), **found} == UPSTREAM


def test_histograms_have_upstreams_buckets(exported: dict[str, Metric]) -> None:
    for name, bounds in BUCKETS.items():
        found = {float(sample.labels["le"]) for sample in exported[name].samples if "le" in sample.labels}
        assert sorted(found) == pytest.approx([*bounds, float("inf")]), name


def test_what_has_not_happened_yet_is_zero_and_not_absent(exported: dict[str, Metric]) -> None:
    samples = {
        (sample.name, sample.labels.get("result", "")): sample.value for metric in exported.values() for sample in metric.samples
    }
    for result in ("success", "error", "requeue", "requeue_after"):
        assert samples["controller_runtime_reconcile_total", result] == 0
    for name in UPSTREAM:
        if (
            name.startswith(("workqueue_", "controller_runtime_"))
            and "max_concurrent" not in name
            and "reconcile_total" not in name
        ):
            kind = UPSTREAM[name][0]
            assert samples[f"{name}_count" if kind == "histogram" else name, ""] == 0, name


def test_the_page_lists_exactly_what_is_exported(exported: dict[str, Metric]) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*)\| .*\S.* \|$", page, re.MULTILINE)
    listed = {name: (kind, {label.strip() for label in found.split(",") if label.strip()}) for name, kind, found in rows}
    real = {name: (metric.type, labels(metric) or listed.get(name, ("", set()))[1]) for name, metric in exported.items()}
    assert listed == {**election(), **real}


def test_the_page_names_the_buckets() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    for name, bounds in BUCKETS.items():
        if bounds is not DECADES:
            listed = ", ".join(f"{bound:.0f}" if bound >= 64 else f"{bound:g}" for bound in bounds)
            assert re.search(rf"^\|.* ?`{name}`.*\| {re.escape(listed)} \|$", page, re.MULTILINE), name


def test_no_label_ever_holds_the_name_of_an_object(exported: dict[str, Metric]) -> None:
    known = {label for _, found in UPSTREAM.values() for label in found}
    known |= {"group", "version", "resource", "namespace", "reason", "kubernetes_client", "python", "generation"}
    known |= {"implementation", "major", "minor", "patchlevel"}
    assert {label for metric in exported.values() for label in labels(metric)} <= known
