"""One bad bucket takes itself out, not the fleet, and nothing that it left behind is deleted (user ask T29c)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from unit.reconcile.fakes import IDLE_S, OTHER_SIZE, Site, bucket
from unit.reconcile.test_protection import NAME, WAYS, half_closed, idle

from autoscale_aks.config import parse_usable
from autoscale_aks.reconcile.deciding import decide

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The site reads its configuration as the acting verbs do."""
    read = property(lambda site: parse_usable(json.dumps(site.document), str(site.directory / "autoscale.json")))
    monkeypatch.setattr(Site, "config", read)


def break_bucket(site: Site) -> None:
    site.document["nodearrays"]["htc"]["buckets"][0]["vcpu_count"] = 0


def break_array(site: Site) -> None:
    site.document["nodearrays"]["htc"]["max_count"] = "many"


def mend(site: Site) -> None:
    site.document["nodearrays"]["htc"].pop("max_count", None)
    site.document["nodearrays"]["htc"]["buckets"][0]["vcpu_count"] = 4


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize(
    ("way", "mistake"), [*((way, break_bucket) for way in WAYS), (idle, break_array), (half_closed, break_array)]
)
def test_t29c_machines_of_what_is_left_out_are_deleted_in_no_way_until_it_is_mended(
    site: Site, way: Callable[[Site], None], mistake: Callable[[Site], None]
) -> None:
    way(site)
    mistake(site)
    for _ in range(3):
        report = site.cycle()
        assert report.releases.deleted == []
        assert any("left out of the configuration: nodearrays.htc." in notice for notice in report.observation.notices)
        site.advance(IDLE_S + 30)
    assert site.deletes() == []
    assert NAME in site.names()
    mend(site)
    gone: list[str] = []
    for _ in range(12):
        gone += site.cycle().releases.deleted
        site.advance(IDLE_S)
    assert gone == [NAME], "once it is mended this very way deletes it"


@pytest.mark.usefixtures("lenient")
def test_t29c_the_other_buckets_and_node_arrays_go_on(make_site: Callable[..., Site]) -> None:
    arrays = {"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}, "hpc": {"buckets": [bucket()]}}
    site = make_site(nodearrays=arrays)
    site.document["nodearrays"]["htc"]["buckets"][0]["memory_gb"] = -1
    site.scheduler.submit("work", iterations=2)
    report = site.cycle()
    assert {claim.bucket.id for claim in report.plan.claims} == {f"htc/{OTHER_SIZE}"}
    assert len(site.names()) == len(report.plan.claims) > 0
    site.document["nodearrays"]["htc"]["priority"] = "high"
    site.scheduler.submit("more", iterations=40)
    assert {claim.bucket.array.name for claim in site.cycle().plan.claims} == {"hpc"}


@pytest.mark.usefixtures("lenient")
def test_t29c_machines_that_another_bucket_explains_leave_as_ever(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"buckets": [bucket(), bucket(OTHER_SIZE)]}})
    idle(site)
    site.document["nodearrays"]["htc"]["buckets"][1]["vcpu_count"] = 0
    assert site.cycle().releases.deleted == [NAME]


@pytest.mark.usefixtures("lenient")
def test_t29c_no_machine_is_made_for_a_node_array_that_is_left_out(site: Site) -> None:
    site.document["nodearrays"]["htc"] |= {"max_count": "many", "min_nodes": 3}
    site.scheduler.submit("work")
    report = site.cycle()
    assert (report.plan.claims, site.names()) == ((), [])


@pytest.mark.usefixtures("lenient")
def test_without_the_guard_such_machines_would_go(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stories above are worth: the plan does want the machine gone."""
    monkeypatch.setattr("autoscale_aks.reconcile.observe.spare", lambda nodes, _: tuple(nodes))
    idle(site)
    break_bucket(site)
    assert site.cycle().releases.deleted == [NAME]


def test_a_world_without_mistakes_is_not_touched(site: Site) -> None:
    idle(site)
    seen, decided = site.demand()
    assert not any(one.keep_alive for one in seen.snapshot.nodes)
    again = decide(replace(seen.snapshot), site.config.policy, {}, ())
    assert [one.node.name for one in again.releases] == [one.node.name for one in decided.releases] == [NAME]
