"""Values that cannot work are refused before anything is installed, in words that name the value and the remedy."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.chart import helm
from tests.chart.helm import HelmError, render

GUARDED: list[tuple[dict[str, Any], str, str]] = [  # values, what is named, the remedy
    ({"replicaCount": 2, "leaderElection": {"enabled": False}}, "replicaCount is 2", "Set leaderElection.enabled=true"),
    ({"leaderElection": {"renewDeadline": "15s"}}, "leaderElection.leaseDuration (15s)", "Raise the first"),
    ({"leaderElection": {"renewDeadline": "1m", "leaseDuration": "59s"}}, "leaderElection.renewDeadline (1m)", "Raise the first"),
    ({"leaderElection": {"retryPeriod": "9s"}}, "leaderElection.retryPeriod (9s)", "Raise the first"),
    ({"leaderElection": {"retryPeriod": "8333.4ms"}}, "leaderElection.retryPeriod (8333.4ms)", "Raise the first"),
    ({"leaderElection": {"leaseDuration": "15500ms"}}, "leaderElection.leaseDuration is 15500ms", "use whole seconds"),
    ({"leaderElection": {"retryPeriod": 0}}, "leaderElection.retryPeriod is 0", "greater than zero"),
    ({"shutdownTimeout": "31s"}, "terminationGracePeriodSeconds (40)", "Raise the first"),
    ({"terminationGracePeriodSeconds": 39}, "shutdownTimeout (30s)", "lower the second"),
    ({"podDisruptionBudget": {"enabled": True, "minAvailable": 1}}, "minAvailable is 1 of 1", "Raise replicaCount"),
    (
        {"replicaCount": 3, "podDisruptionBudget": {"enabled": True, "minAvailable": "100%"}},
        "minAvailable is 100%",
        "lower minAvailable",
    ),
    ({"replicaCount": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": "51%"}}, "51% of 2", "Raise replicaCount"),
    ({"podDisruptionBudget": {"enabled": True, "maxUnavailable": 0}}, "maxUnavailable is 0", "Use 1"),
    ({"podDisruptionBudget": {"enabled": True, "maxUnavailable": "0%"}}, "maxUnavailable is 0", "Use 1"),
    (
        {"replicaCount": 3, "podDisruptionBudget": {"enabled": True, "minAvailable": 1, "maxUnavailable": 1}},
        "minAvailable or maxUnavailable, not both",
        "Set one of them to null",
    ),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name is empty", "Name the account"),
    ({"serviceAccount": {"automount": False}}, "serviceAccount.automount is false", "extraVolumes"),
    ({"podSecurityContext": {"runAsUser": 0}}, "runAsUser is 0 and runAsNonRoot is true", "Take another user"),
    ({"securityContext": {"runAsUser": 0}}, "runAsUser is 0 and runAsNonRoot is true", "set runAsNonRoot to false"),
    ({"metrics": {"port": 8081}}, "metrics.port and healthProbe.port are both 8081", "Change one"),
    ({"metrics": {"auth": True}}, "metrics.auth without metrics.secure", "Set metrics.secure to true"),
    ({"metrics": {"certSecret": "tls"}}, "metrics.certSecret without metrics.secure", "Set metrics.secure to true"),
    ({"metrics": {"enabled": False, "secure": True}}, "need metrics.enabled", "Set it to true"),
    ({"metrics": {"enabled": False}, "serviceMonitor": {"enabled": True}}, "serviceMonitor.enabled", "needs metrics.enabled"),
    ({"metrics": {"enabled": False}, "prometheusRule": {"enabled": True}}, "prometheusRule.enabled", "needs metrics.enabled"),
    ({"metrics": {"enabled": False}, "grafanaDashboard": {"enabled": True}}, "grafanaDashboard.enabled", "needs metrics.enabled"),
    ({"serviceMonitor": {"enabled": True}}, "no ServiceMonitor", "Install the Prometheus Operator"),
    ({"prometheusRule": {"enabled": True}}, "no PrometheusRule", "renderMode to skipIfMissing"),
    (
        {"serviceMonitor": {"enabled": True, "renderMode": "alwaysRender", "interval": "10s"}},
        "serviceMonitor.scrapeTimeout (25s)",
        "Lower the first",
    ),
    ({"commonLabels": {"app.kubernetes.io/name": "a"}}, "commonLabels: the chart sets", "Take another label"),
    ({"podLabels": {"app.kubernetes.io/component": "a"}}, "podLabels: the chart sets", "Take another label"),
    ({"crds": {"files": {"mine": "kind: [unclosed"}}}, "crds.files.mine is not YAML", "yaml"),
    ({"crds": {"files": {"mine": "apiVersion: v1\nkind: ConfigMap\n"}}}, "crds.files.mine holds a ConfigMap", "extraObjects"),
]

REFUSED: list[tuple[dict[str, Any], str]] = [  # values, the path that the schema names
    ({"strategy": {"type": "Rolling"}}, "strategy/type"),
    ({"nameOverride": "my.operator"}, "nameOverride"),
    ({"fullnameOverride": "1operator"}, "fullnameOverride"),
    ({"replicas": 2}, ""),
    ({"leaderElection": {"leaseduration": "15s"}}, "leaderElection"),
    ({"leaderElection": {"leaseDuration": "15 seconds"}}, "leaderElection/leaseDuration"),
    ({"leaderElection": {"onLostLease": "panic"}}, "leaderElection/onLostLease"),
    ({"image": {"pullpolicy": "Always"}}, "image"),
    ({"image": {"pullPolicy": "Sometimes"}}, "image/pullPolicy"),
    ({"image": {"repository": ""}}, "image/repository"),
    ({"image": {"repository": "website:1.0"}}, "image/repository"),
    ({"image": {"tag": 1.0}}, "image/tag"),
    ({"image": {"digest": "sha256:abc"}}, "image/digest"),
    ({"replicaCount": "two"}, "replicaCount"),
    ({"replicaCount": -1}, "replicaCount"),
    ({"targets": []}, "targets"),
    ({"targets": "/operator"}, "targets"),
    ({"watchNamespaces": "team-a"}, "watchNamespaces"),
    ({"watchNamespaces": [""]}, "watchNamespaces/0"),
    ({"watchNamespaces": ["a", "a"]}, "watchNamespaces"),
    ({"workers": 0}, "workers"),
    ({"log": {"level": "chatty"}}, "log/level"),
    ({"rbac": {"rules": [{"apiGroup": [""], "resources": ["pods"], "verbs": ["get"]}]}}, "rbac/rules/0"),
    ({"rbac": {"rules": [{"apiGroups": [""], "resources": ["pods"]}]}}, "rbac/rules/0"),
    ({"rbac": {"scope": "Namespaced"}}, "rbac"),
    ({"crds": {"enable": False}}, "crds"),
    ({"crds": {"files": {"a": {"kind": "CustomResourceDefinition"}}}}, "crds/files/a"),
    ({"resources": {"limit": {}}}, "resources"),
    ({"metrics": {"port": 0}}, "metrics/port"),
    ({"metrics": {"port": "8080"}}, "metrics/port"),
    ({"serviceMonitor": {"renderMode": "maybe"}}, "serviceMonitor/renderMode"),
    ({"networkPolicy": {"apiServerPorts": []}}, "networkPolicy/apiServerPorts"),
    ({"podDisruptionBudget": {"minAvailable": "some"}}, "podDisruptionBudget/minAvailable"),
    ({"commonLabels": {"team": "not a label!"}}, "commonLabels/team"),
    ({"terminationGracePeriodSeconds": "40s"}, "terminationGracePeriodSeconds"),
    ({"namespaceOverride": "Not_A_Namespace"}, "namespaceOverride"),
    ({"probes": {"alive": {}}}, "probes"),
]


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(HelmError) as caught:
        render(values)
    return str(caught.value)


@pytest.mark.parametrize(("values", "named", "remedy"), GUARDED, ids=[named for _, named, _ in GUARDED])
def test_what_cannot_work_is_refused_with_a_remedy(values: dict[str, Any], named: str, remedy: str) -> None:
    message = refusal(values)
    assert named in message
    assert remedy in message


@pytest.mark.parametrize(("values", "path"), REFUSED, ids=[str(values) for values, _ in REFUSED])
def test_typos_and_wrong_values_are_refused_where_they_stand(values: dict[str, Any], path: str) -> None:
    assert f"at '{'/' if path else ''}{path}'" in refusal(values)


def test_every_guard_is_tried() -> None:
    """Each `fail` of the templates is one that a case above meets."""
    texts = [path.read_text("utf-8") for path in sorted((helm.CHART / "templates").glob("*")) if path.is_file()]
    guards = [re.sub(r"%[vs]", "\0", guard) for text in texts for guard in re.findall(r'fail \(?(?:printf )?"([^"]+)"', text)]
    assert len(guards) > 15
    met = [refusal(values) for values, _, _ in GUARDED]
    untried = [guard for guard in guards if not any(all(part in message for part in guard.split("\0")) for message in met)]
    assert untried == []


@pytest.mark.parametrize("duration", ["15s", "0.25m", "15000ms", "15", 15, "10s5s"])
def test_a_duration_may_be_written_in_any_way_the_operator_reads(duration: Any) -> None:
    assert render({"leaderElection": {"leaseDuration": duration}})
    assert "Raise the first" in refusal({"leaderElection": {"renewDeadline": duration}})
