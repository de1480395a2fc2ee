"""What the chart makes of values: every document is valid, every switch does what it says, and nothing depends on the rest."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import helm
from tests.chart.helm import MONITORING, Object, one, render, templates
from tests.chart.manifest import complaints, not_restricted

CRD = (helm.ROOT / "examples" / "website" / "crd.yaml").read_text("utf-8")
RULES = [{"apiGroups": ["example.com"], "resources": ["websites"], "verbs": ["get", "list", "watch"]}]

# Each switch once, away from its default; together with the defaults these are what the tests below look at.
SWITCHES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "rules": {"rbac": {"rules": RULES}, "crds": {"files": {"websites": CRD}}},
    "namespaced": {"rbac": {"rules": RULES}, "watchNamespaces": ["team-a", "team-b"]},
    "namespaced and beyond": {"rbac": {"rules": RULES, "clusterRules": RULES}, "watchNamespaces": ["team-a"]},
    "one namespace more": {
        "rbac": {"rules": RULES, "namespaceRules": {"dns": RULES, "team-a": RULES}},
        "watchNamespaces": ["team-a"],
    },
    "no rbac": {"rbac": {"create": False}},
    "no aggregates": {
        "rbac": {"aggregate": {"view": False, "edit": False, "admin": False}},
        "crds": {"files": {"websites": CRD}},
    },
    "more aggregates": {"rbac": {"aggregate": {"resources": [{"apiGroup": "example.com", "resources": ["a", "b"]}]}}},
    "own account": {"serviceAccount": {"create": False, "name": "mine"}},
    "named account": {"serviceAccount": {"name": "mine", "annotations": {"cloud.example.com/role": "operator"}}},
    "own token": {
        "serviceAccount": {"automount": False},
        "extraVolumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        "extraVolumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    },
    "no election": {"leaderElection": {"enabled": False}, "strategy": {"type": "Recreate"}},
    "election elsewhere": {"leaderElection": {"id": "the-lease", "namespace": "leases", "onLostLease": "rejoin"}},
    "three replicas": {"replicaCount": 3, "podDisruptionBudget": {"enabled": True, "minAvailable": 2}},
    "budget by share": {"replicaCount": 4, "podDisruptionBudget": {"enabled": True, "minAvailable": "50%"}},
    "budget of one": {"podDisruptionBudget": {"enabled": True}},
    "paused": {"replicaCount": 0},
    "no definitions": {"crds": {"enabled": False, "files": {"websites": CRD}}},
    "no keeping": {"crds": {"keep": False, "files": {"websites": CRD}, "annotations": {"example.com/a": "b"}}},
    "no metrics": {"metrics": {"enabled": False}},
    "secure metrics": {"metrics": {"secure": True}, "serviceMonitor": {"enabled": True}},
    "metrics with certificate": {
        "metrics": {"secure": True, "auth": True, "certSecret": "metrics-tls"},
        "serviceMonitor": {"enabled": True},
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "namespace": "monitoring", "additionalLabels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "extraGroups": [{"name": "mine", "rules": []}]},
        "grafanaDashboard": {"enabled": True, "annotations": {"folder": "operators"}},
    },
    "network policy": {"networkPolicy": {"enabled": True}},
    "narrow network policy": {
        "networkPolicy": {
            "enabled": True,
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "apiServer": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
            "apiServerPorts": [6443],
            "extraIngress": [{"ports": [{"port": 9000}]}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}],
        },
        "metrics": {"enabled": False},
    },
    "no probes": {"probes": {"liveness": None, "readiness": None, "startup": None}},
    "names": {
        "fullnameOverride": "website",
        "namespaceOverride": "elsewhere",
        "commonLabels": {"team": "web"},
        "podLabels": {"tier": "control"},
        "podAnnotations": {"example.com/a": "b"},
        "deploymentAnnotations": {"example.com/c": "d"},
    },
    "image": {
        "image": {"registry": "registry.example.com:5000/", "repository": "team/website", "digest": "sha256:" + "a" * 64},
        "imagePullSecrets": [{"name": "registry"}],
    },
    "tuned": {
        "workers": 16,
        "resync": "10m",
        "shutdownTimeout": "1m30s",
        "terminationGracePeriodSeconds": 100,
        "kubeApi": {"qps": 50, "burst": 100},
        "log": {"level": "debug", "format": "text"},
        "targets": ["my_package.operators", "/operator/more.py"],
    },
    "hatches": {
        "extraArgs": ["--no-watch"],
        "extraEnv": [{"name": "OPERATOR_KIT_BACKOFF_MAX", "value": "1m"}],
        "envFrom": [{"secretRef": {"name": "credentials"}}],
        "extraVolumes": [{"name": "data", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "data", "mountPath": "/data"}],
        "extraContainers": [{"name": "beside", "image": "beside:1"}],
        "extraInitContainers": [{"name": "before", "image": "before:1"}],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}},
            'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include "operator-kit.fullname" . }}-text\n',
        ],
    },
    "placed": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "control", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "system-cluster-critical",
        "resources": {},
    },
}
HATCHES_ONLY = {"hatches"}  # what is put through them is the user's own


@functools.cache
def rendered(switch: str) -> list[Object]:
    """Rendered once for all tests that look at it. As an upgrade, which may not differ from an install."""
    objects = render(SWITCHES[switch], api_versions=MONITORING, upgrade=True)
    assert objects == render(SWITCHES[switch], api_versions=MONITORING)
    return objects


@functools.cache
def pods_of_tests(switch: str) -> list[Object]:
    """The pods of `helm test`."""
    text = templates(SWITCHES[switch], api_versions=MONITORING)["tests/tests.yaml"]
    return [pod for pod in yaml.safe_load_all(text) if pod]


def pods(objects: list[Object]) -> list[Object]:
    return [obj["spec"]["template"]["spec"] for obj in objects if obj["kind"] == "Deployment"]


def arguments(objects: list[Object]) -> list[str]:
    return list(one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"])


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_document_is_valid_and_every_pod_restricted(switch: str) -> None:
    objects, tests = rendered(switch), pods_of_tests(switch)
    assert complaints([*objects, *tests]) == []
    assert complaints([*objects, *tests], "1.27") == []
    assert [list(not_restricted(pod["spec"])) for pod in tests] == [[] for _ in tests]
    if switch not in HATCHES_ONLY:
        assert [list(not_restricted(pod)) for pod in pods(objects)] == [[]]


def test_the_pods_of_tests_are_no_pods_of_the_operator() -> None:
    selector = one(rendered("defaults"), "Deployment")["spec"]["selector"]["matchLabels"]
    assert len(pods_of_tests("defaults")) == 2
    for pod in pods_of_tests("defaults"):
        assert not selector.items() <= pod["metadata"]["labels"].items()
    assert [pod["metadata"]["name"] for pod in pods_of_tests("no metrics")] == ["demo-operator-kit-test-permissions"]
    assert "tests/tests.yaml" not in {path for path, text in templates({"tests": {"enabled": False}}).items() if text.strip()}


def test_what_the_pods_of_tests_said_can_be_read_afterwards() -> None:
    """`helm test --logs` of Helm 3 asks for the logs when hook-succeeded has taken the pods away already, and fails."""
    for pod in pods_of_tests("defaults"):
        assert pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation"


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_object_is_named_labelled_and_in_its_namespace_and_none_is_there_twice(switch: str) -> None:
    objects = [obj for obj in rendered(switch) if not obj["metadata"]["name"].endswith(("-extra", "-text"))]
    keys = [(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]) for obj in objects]
    assert len(keys) == len(set(keys))
    for obj in objects:
        meta = obj["metadata"]
        labels = meta["labels"]
        assert labels["app.kubernetes.io/instance"] == "demo"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"] == "operator-kit-0.1.0"
        cluster_wide = obj["kind"] in {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
        assert ("namespace" in meta) != cluster_wide, meta
        assert len(meta["name"]) <= 63


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_selects_pods_selects_the_operators_pods_and_an_upgrade_changes_no_selector(switch: str) -> None:
    objects, before = rendered(switch), rendered("defaults")
    deployment = one(objects, "Deployment")["spec"]
    selector = deployment["selector"]["matchLabels"]
    assert selector == one(before, "Deployment")["spec"]["selector"]["matchLabels"]
    labels = deployment["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    for obj in objects:
        if obj["kind"] == "Service":
            assert obj["spec"]["selector"] == selector
        if obj["kind"] == "PodDisruptionBudget":
            assert obj["spec"]["selector"]["matchLabels"] == selector
        if obj["kind"] == "NetworkPolicy":
            assert obj["spec"]["podSelector"]["matchLabels"] == selector
        if obj["kind"] == "ServiceMonitor":
            service = one(objects, "Service")
            assert obj["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
            assert obj["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
            assert obj["spec"]["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_binding_binds_a_role_that_is_there_to_the_account_of_the_pod(switch: str) -> None:
    objects = rendered(switch)
    account = one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    namespace = one(objects, "Deployment")["metadata"]["namespace"]
    for obj in objects:
        if obj["kind"].endswith("Binding"):
            place = obj["metadata"].get("namespace")
            role = one([other for other in objects if other["metadata"].get("namespace") == place], obj["roleRef"]["kind"],
                       obj["roleRef"]["name"])  # fmt: skip
            assert role["rules"]
            assert obj["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
    if switch == "own account":
        assert account == "mine"
        assert not [obj for obj in objects if obj["kind"] == "ServiceAccount"]
    elif account != "mine":
        one(objects, "ServiceAccount", account)


@pytest.mark.parametrize("switch", SWITCHES)
def test_the_pods_ports_mounts_and_probes_fit_each_other(switch: str) -> None:
    objects = rendered(switch)
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container:
            assert container[probe]["httpGet"]["port"] in ports
        else:
            assert switch == "no probes"
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    args = arguments(objects)
    assert f"--health-probe-bind-address=:{ports['health']}" in args
    assert f"--metrics-bind-address={':' + str(ports['metrics']) if 'metrics' in ports else '0'}" in args
    for obj in objects:
        if obj["kind"] == "Service":
            assert {port["targetPort"] for port in obj["spec"]["ports"]} <= set(ports)


@pytest.mark.parametrize("switch", ["defaults", "rules", "namespaced", "hatches", "placed"])
def test_what_is_rendered_can_be_read(switch: str) -> None:
    for path, text in templates(SWITCHES[switch], api_versions=MONITORING).items():
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), path


def test_without_a_lease_there_is_no_role_for_one() -> None:
    objects = rendered("no election")
    assert "--no-leader-elect" in arguments(objects)
    assert not [arg for arg in arguments(objects) if "lease" in arg or "election" in arg]
    assert not [obj for obj in objects if "leader-election" in obj["metadata"]["name"]]


def test_the_right_to_the_lease_is_where_the_lease_is() -> None:
    objects = rendered("election elsewhere")
    role = one(objects, "Role", "demo-operator-kit-leader-election")
    assert role["metadata"]["namespace"] == "leases"
    assert one(objects, "RoleBinding")["metadata"]["namespace"] == "leases"
    assert [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule] == [["the-lease"]]
    assert {"--leader-election-id=the-lease", "--leader-election-namespace=leases", "--on-lost-lease=rejoin"} <= set(
        arguments(objects)
    )


def test_the_rules_are_granted_everywhere_or_in_each_watched_namespace_and_events_with_them() -> None:
    wide, narrow = rendered("rules"), rendered("namespaced")
    assert one(wide, "ClusterRole", "demo-operator-kit")["rules"][0] == RULES[0]
    assert not [obj for obj in narrow if obj["kind"] == "ClusterRole"]
    for namespace in ("team-a", "team-b"):
        role = one([obj for obj in narrow if obj["metadata"].get("namespace") == namespace], "Role")
        assert role["rules"] == [
            *RULES,
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
        ]
    assert {"--namespace=team-a", "--namespace=team-b"} <= set(arguments(narrow))
    assert one(rendered("namespaced and beyond"), "ClusterRole")["rules"] == RULES
    beyond = {
        obj["metadata"]["namespace"]: obj["rules"]
        for obj in rendered("one namespace more")
        if obj["kind"] == "Role" and obj["metadata"]["name"] == "demo-operator-kit"
    }
    assert beyond == {"dns": RULES, "team-a": [*role["rules"], *RULES]}


@pytest.mark.parametrize(
    ("rule", "apart"),
    [
        ({"verbs": ["get"]}, False),
        ({"verbs": ["get", "patch"]}, True),
        ({"resources": ["configmaps", "services"]}, True),
        ({"apiGroups": ["apps"]}, True),
        ({"resourceNames": ["one"]}, False),
        ({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["delete"]}, False),
    ],
    ids=str,
)
def test_what_is_granted_everywhere_is_not_granted_again_in_a_namespace(rule: dict[str, Any], apart: bool) -> None:
    wide = {"apiGroups": ["", "example.com"], "resources": ["configmaps"], "verbs": ["get", "list"]}
    everything = {"apiGroups": ["batch"], "resources": ["*"], "verbs": ["*"]}
    narrow = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], **rule}
    rbac = {"rules": [wide, everything], "namespaceRules": {"dns": [narrow]}}
    for values in ({"rbac": rbac}, {"rbac": rbac, "watchNamespaces": ["team-a"]}):
        granted = [obj["rules"] for obj in render(values) if obj["kind"] == "Role" and obj["metadata"]["namespace"] == "dns"]
        assert granted == ([[narrow]] if apart or "watchNamespaces" in values else [])


def test_people_get_the_rights_to_the_operators_kinds_that_their_role_stands_for() -> None:
    objects = rendered("rules")
    for role, may_write, may_write_status in (("view", False, False), ("edit", True, False), ("admin", True, True)):
        made = one(objects, "ClusterRole", f"demo-operator-kit-{role}")
        assert made["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
        kind, status = made["rules"]
        assert kind["resources"] == ["websites"]
        assert ("update" in kind["verbs"]) == may_write
        assert status["resources"] == ["websites/status"]
        assert ("update" in status["verbs"]) == may_write_status
    assert one(rendered("more aggregates"), "ClusterRole", "demo-operator-kit-view")["rules"][1]["resources"] == [
        "a/status",
        "b/status",
    ]


def test_definitions_are_kept_as_they_are_written_and_marked_to_stay() -> None:
    written = yaml.safe_load(CRD)
    made = one(rendered("rules"), "CustomResourceDefinition")
    assert made["spec"] == written["spec"]
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert one(rendered("no keeping"), "CustomResourceDefinition")["metadata"]["annotations"] == {"example.com/a": "b"}
    assert not [obj for obj in rendered("no definitions") if obj["kind"] == "CustomResourceDefinition"]


def test_definitions_in_the_charts_own_folder_are_installed_too(tmp_path: Path) -> None:
    chart = shutil.copytree(helm.CHART, tmp_path / "operator-kit")
    second = CRD.replace("website", "webshop").replace("Website", "Webshop")
    (chart / "crd-files" / "all.yaml").write_text(f"# Two of them.\n---\n{CRD}---\n{second}")
    names = [obj["metadata"]["name"] for obj in render(chart=chart) if obj["kind"] == "CustomResourceDefinition"]
    assert names == ["websites.example.com", "webshops.example.com"]


def test_alerts_and_dashboard_arrive_as_they_are_in_their_files() -> None:
    objects = rendered("monitoring")
    rules = yaml.safe_load((helm.CHART / "files" / "rules.yaml").read_text("utf-8"))
    assert one(objects, "PrometheusRule")["spec"]["groups"] == [*rules["groups"], {"name": "mine", "rules": []}]
    dashboard = (helm.CHART / "files" / "dashboard.json").read_text("utf-8")
    config_map = one(objects, "ConfigMap")
    assert config_map["data"] == {"demo-operator-kit.json": dashboard.strip()}
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert one(objects, "ServiceMonitor")["metadata"]["namespace"] == "monitoring"


def test_a_label_or_annotation_of_a_section_goes_before_that_of_all() -> None:
    values = {
        "commonLabels": {"release": "all", "team": "web"},
        "podLabels": {"release": "pods"},
        "podAnnotations": {"kubectl.kubernetes.io/default-container": "beside"},
        "serviceMonitor": {
            "enabled": True,
            "additionalLabels": {"release": "prometheus"},
            "tlsConfig": {"insecureSkipVerify": False},
        },
        "metrics": {"secure": True},
    }
    objects = render(values, api_versions=MONITORING)
    pod = one(objects, "Deployment")["spec"]["template"]["metadata"]
    assert (pod["labels"]["release"], pod["labels"]["team"]) == ("pods", "web")
    assert pod["annotations"] == {"kubectl.kubernetes.io/default-container": "beside"}
    monitor = one(objects, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["tlsConfig"] == {"insecureSkipVerify": False}


def test_a_constraint_on_spreading_selects_the_operators_pods_unless_it_selects_others() -> None:
    bare = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    own = {**bare, "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}
    deployment = one(render({"topologySpreadConstraints": [bare, own]}), "Deployment")["spec"]
    selector = deployment["selector"]
    assert deployment["template"]["spec"]["topologySpreadConstraints"] == [{**bare, "labelSelector": selector}, own]


def test_skipping_and_always_rendering_ask_for_nothing() -> None:
    values = {"serviceMonitor": {"enabled": True, "renderMode": "skipIfMissing"}}
    assert not [obj for obj in render(values) if obj["kind"] == "ServiceMonitor"]
    assert one(render(values, api_versions=MONITORING), "ServiceMonitor")
    assert one(render({"serviceMonitor": {"enabled": True, "renderMode": "alwaysRender"}}), "ServiceMonitor")


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        ({}, "operator-kit:0.1.0"),
        ({"tag": "1.2"}, "operator-kit:1.2"),
        ({"registry": "registry.example.com", "repository": "a/b"}, "registry.example.com/a/b:0.1.0"),
        ({"tag": "1.2", "digest": "sha256:" + "0" * 64}, "operator-kit@sha256:" + "0" * 64),
    ],
)
def test_the_image_is_put_together_from_its_parts(image: dict[str, str], shown: str) -> None:
    assert one(render({"image": image}), "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == shown


def test_a_cluster_that_chooses_the_users_itself_is_left_to_do_so() -> None:
    """As OpenShift does: `null` takes a default away."""
    nobody = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))
    (pod,) = pods(render({"podSecurityContext": nobody}))
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("demo", {}, "demo-operator-kit"),
        ("my-operator-kit", {}, "my-operator-kit"),
        ("demo", {"nameOverride": "website"}, "demo-website"),
        ("demo.v2", {}, "demo-v2-operator-kit"),
        ("operator-kit.v2", {}, "operator-kit-v2"),
        ("demo", {"fullnameOverride": "website"}, "website"),
        ("r" * 53, {}, "r" * 50),
    ],
)
def test_names_come_from_the_release_or_from_the_overrides(release: str, values: dict[str, str], name: str) -> None:
    objects = render(values, release=release)
    assert one(objects, "Deployment")["metadata"]["name"] == name
    assert all(len(obj["metadata"]["name"]) <= 63 for obj in objects if obj["kind"] == "Service")


def test_a_new_version_of_the_chart_alone_restarts_no_pod(tmp_path: Path) -> None:
    chart = shutil.copytree(helm.CHART, tmp_path / "operator-kit")
    text = (chart / "Chart.yaml").read_text("utf-8")
    (chart / "Chart.yaml").write_text(re.sub(r"(?m)^version: .*$", "version: 9.9.9", text))
    assert one(render(chart=chart), "Deployment")["spec"] == one(render(), "Deployment")["spec"]
