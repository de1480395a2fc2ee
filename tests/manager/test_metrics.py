"""What is told of the informers as metrics."""

from __future__ import annotations

from typing import Any

from operator_kit.cache import InformerStatus
from operator_kit.manager.metrics import informer_families
from operator_kit.objects import Resource

CM = Resource("", "v1", "ConfigMap", "configmaps")
SITE = Resource("example.com", "v1", "Website", "websites")


class Informers:
    """Some, as they are just now."""

    def __init__(self, *statuses: InformerStatus) -> None:
        self.statuses = statuses

    def status(self) -> list[InformerStatus]:
        return list(self.statuses)


def told(*statuses: InformerStatus) -> dict[str, Any]:
    informers: Any = Informers(*statuses)
    return {family.name: dict(family.samples) for family in informer_families(informers)}


def test_every_informer_tells_all_that_its_status_does() -> None:
    well = InformerStatus(CM, None, True, 3, 300, 1.5, {"closed": 4}, odd=1, handler_errors=2)
    blind = InformerStatus(SITE, "team", False, 0, 0, 90.0, {"forbidden": 7, "closed": 1}, "not allowed …", "forbidden", 60.0)
    families = told(well, blind)
    config_maps, sites = ("", "v1", "configmaps", ""), ("example.com", "v1", "websites", "team")
    assert families == {
        "informer_synced": {config_maps: 1, sites: 0},
        "informer_objects": {config_maps: 3, sites: 0},
        "informer_bytes": {config_maps: 300, sites: 0},
        "informer_seconds_since_sign_of_life": {config_maps: 1.5, sites: 90},
        "informer_problem_seconds": {config_maps: 0, sites: 60},
        "informer_problem": {(*sites, "forbidden"): 1},
        "informer_restarts_total": {(*config_maps, "closed"): 4, (*sites, "forbidden"): 7, (*sites, "closed"): 1},
        "informer_unusable_total": {config_maps: 1, sites: 0},
        "informer_handler_errors_total": {config_maps: 2, sites: 0},
    }


def test_informers_of_one_kind_that_differ_in_their_selection_are_told_together() -> None:
    good = InformerStatus(CM, None, True, 3, 300, 1.5)
    bad = InformerStatus(CM, None, False, 2, 200, 20.0, {}, "no answer …", "unreachable", 5.0)
    families = told(good, bad)
    labels = ("", "v1", "configmaps", "")
    assert families["informer_synced"] == {labels: 0}
    assert families["informer_objects"] == {labels: 5}
    assert families["informer_seconds_since_sign_of_life"] == {labels: 20.0}
    assert families["informer_problem"] == {(*labels, "unreachable"): 1}
