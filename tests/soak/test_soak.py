"""A short share of `make soak`: faults and churn, caches compared with the server's; the memory of so few events says nothing."""

from __future__ import annotations

from pathlib import Path

from tests.processes import eventually, operator_kit
from tests.soak.soak import Soak


def test_caches_stay_the_servers_under_churn_and_faults(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    with operator_kit("sandbox", "--kubeconfig", str(kubeconfig), log=tmp_path / "log"):
        eventually(kubeconfig.exists, "the sandbox's kubeconfig")
        soak = Soak(kubeconfig, seed=7, objects=100)
        try:
            report = soak.run(2000, samples=2)
        finally:
            soak.close()
    assert report.samples[-1].events >= 2000
    assert [sample.objects for sample in report.samples] == [100, 100, 100]
    assert report.faults > 0
    assert "defect" not in report.restarts, report.restarts
    assert "died" not in report.restarts, report.restarts
