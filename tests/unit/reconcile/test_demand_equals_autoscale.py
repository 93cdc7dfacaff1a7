"""What `demand` shows is what `autoscale` then asks for, name by name and request by request, on the wire (T25a)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import IDLE_S, OTHER_SIZE, SIZE, bucket

from autoscale_aks.reports.demand import render_demand, summarise
from autoscale_aks.reports.document import demand_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

Json = dict[str, Any]


def plain(make: Callable[..., Site]) -> Site:
    """New machines only, more than one wave of them."""
    site = make()
    site.scheduler.submit("a", iterations=97)
    site.scheduler.submit("too-big", cpus=10_000)
    return site


def several_buckets(make: Callable[..., Site]) -> Site:
    """Two node arrays, one of them clipped by its cap."""
    arrays = {"htc": {"buckets": [bucket()], "max_count": 7}, "big": {"buckets": [bucket(OTHER_SIZE)]}}
    site = make(nodearrays=arrays)
    site.scheduler.submit("a", iterations=30)
    return site


def placement_groups(make: Callable[..., Site]) -> Site:
    """A gang that wants machines of one placement group, twice, beside single jobs."""
    arrays = {"hpc": {"buckets": [bucket(max_placement_group_size=5)], "new_placement_groups": True,
                      "placement_group_scope": "label"}}  # fmt: skip
    site = make(nodearrays=arrays)
    for name in ("mpi-1", "mpi-2"):
        site.scheduler.submit(name, node_count=4, colocated=True)
    site.scheduler.submit("a", iterations=3)
    return site


def releases(make: Callable[..., Site]) -> Site:
    """Idle and failed machines leave while others start."""
    site = make(nodearrays={"htc": {"buckets": [bucket()]}, "big": {"buckets": [bucket(OTHER_SIZE, vcpu_count=8)]}})
    site.scheduler.submit("old", iterations=6)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.scheduler.start("running", "site-htc-1")
    site.cycle()
    site.advance(IDLE_S + 1)
    site.scheduler.submit("new", cpus=8, iterations=4)
    return site


def headroom(make: Callable[..., Site]) -> Site:
    """Room is kept free, and a node array has a minimum."""
    arrays = {"htc": {"buckets": [bucket()], "headroom": [{"constraints": {"ncpus": 4}, "count": 3}]},
              "big": {"buckets": [bucket(OTHER_SIZE)], "min_nodes": 2}}  # fmt: skip
    site = make(nodearrays=arrays)
    site.scheduler.submit("a", iterations=2, cpus=4)
    return site


def in_flight(make: Callable[..., Site]) -> Site:
    """Most of what is wanted was asked for a moment ago."""
    site = make()
    site.scheduler.submit("a", iterations=10)
    site.cycle()
    site.advance(5)
    site.scheduler.submit("b", iterations=4)
    return site


def caps(make: Callable[..., Site]) -> Site:
    """A cycle may make only so many."""
    site = make(policy={"max_creates_per_cycle": 12})
    site.scheduler.submit("a", iterations=40)
    return site


def nothing(make: Callable[..., Site]) -> Site:
    """Nothing waits."""
    return make()


SCENES = (plain, several_buckets, placement_groups, releases, headroom, in_flight, caps, nothing)


def shown_by(site: Site) -> Json:
    """The document that `azaks demand --format json` prints."""
    seen, plan = site.demand()
    report = summarise(plan, seen.snapshot, seen.notices, policy=site.config.policy)
    return json.loads(demand_text(render_demand(report, plan)))


@pytest.mark.parametrize("scene", SCENES, ids=[scene.__name__ for scene in SCENES])
def test_what_is_shown_is_what_is_then_asked_for(
    make_site: Callable[..., Site], scene: Callable[[Callable[..., Site]], Site]
) -> None:
    site = scene(make_site)
    shown = shown_by(site)
    before = site.last_request
    site.cycle()
    puts = sorted(sorted(entry.names) for entry in site.puts(since=before))
    assert puts == sorted(sorted(chunk) for wave in shown["waves"] for chunk in wave["chunks"])
    assert sorted(name for put in puts for name in put) == sorted(node["name"] for node in shown["new_nodes"])
    deleted = [name for entry in site.requests("machine.delete", since=before) for name in entry.names]
    assert sorted(deleted) == sorted(one["name"] for one in shown["releases"])
    assert len(puts) == shown["summary"]["puts"]
    by_size = {machine.name: machine.size.name for machine in site.machines()}
    for node in shown["new_nodes"]:
        assert by_size[node["name"]] == node["vm_size"]


def test_the_scenes_hold_what_they_are_for(make_site: Callable[..., Site]) -> None:
    found = {scene.__name__: shown_by(scene(make_site)) for scene in SCENES}
    assert found["plain"]["summary"]["puts"] == 2
    assert {row["bucket"] for row in found["several_buckets"]["starts"]} == {f"htc/{SIZE}", f"big/{OTHER_SIZE}"}
    assert {node["placement_group"] for node in found["placement_groups"]["new_nodes"]} >= {"hpc_pg0", "hpc_pg1"}
    assert found["releases"]["releases"]
    assert found["releases"]["new_nodes"]
    assert found["headroom"]["headroom"][0]["machines"] == 3
    assert found["in_flight"]["in_flight"]
    assert found["caps"]["summary"]["machines"] == 12
    assert found["nothing"]["would_change"] is False


def test_without_failover_a_refusal_changes_nothing_of_the_plan(make_site: Callable[..., Site]) -> None:
    """A bucket that refuses is not asked elsewhere where nothing else fits: what went out is what was shown."""
    site = make_site()
    site.scheduler.submit("a", iterations=5)
    site.fault(kind="client_error", names=("site-htc-2",), code="Nope")
    shown = shown_by(site)
    before = site.last_request
    report = site.cycle()
    first = [sorted(names) for names in (entry.names for entry in site.puts(since=before))][:1]
    assert first == [sorted(shown["waves"][0]["chunks"][0])]
    assert [claim.name for claim in report.plan.claims] == [node["name"] for node in shown["new_nodes"]]
