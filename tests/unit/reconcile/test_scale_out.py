"""Scale-out, told over real HTTP: exactly the machines the queue needs, asked for once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import (
    SIZE,
    accepted,
    bucket,
    chunk_names,
    claimed,
    reasons,
)

from autoscale_aks.emulator.draws import Delay
from autoscale_aks.emulator.settings import Timing
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.model.launch import OWNER_TAG, LaunchState
from autoscale_aks.reconcile import run_cycle
from autoscale_aks.reconcile.names import GROUP_TAG, NODEARRAY_TAG, PLAN_TAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.reconcile.fakes import Site

    from autoscale_aks.model.launch import ChunkOutcome
    from autoscale_aks.model.plan import Plan


class Told:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def planned(self, plan: Plan) -> None:
        self.steps.append(f"planned {len(plan.claims)}")

    def chunk_done(self, outcome: ChunkOutcome) -> None:
        self.steps.append(f"{outcome.chunk_id} {len(outcome.outcomes)}")


@pytest.mark.parametrize(
    ("machines", "chunks"),
    [(1, [1]), (50, [50]), (53, [50, 3]), (96, [48, 48]), (97, [50, 47]), (151, [50, 50, 50, 1])],
)
def test_b3_a_queue_becomes_exactly_its_machines_in_the_fewest_equal_puts(
    site: Site, machines: int, chunks: list[int]
) -> None:
    site.scheduler.submit("array", iterations=machines)
    report = site.cycle()
    assert site.names() == sorted(claimed(report.plan))
    assert len(site.names()) == machines
    assert sorted((len(put.names) for put in site.puts()), reverse=True) == chunks
    assert report.puts == len(chunks) == -(-machines // 50)
    assert (report.is_clean, accepted(report)) == (True, claimed(report.plan))


def test_b1_every_put_carries_a_contiguous_slice_of_the_names(site: Site) -> None:
    site.scheduler.submit("array", iterations=120)
    report = site.cycle()
    names = [f"site-htc-{number}" for number in range(1, 121)]
    assert claimed(report.plan) == names
    assert chunk_names(report.plan) == [tuple(names[start : start + 40]) for start in (0, 40, 80)]
    assert sorted(put.names for put in site.puts()) == sorted(chunk_names(report.plan))


def test_every_bucket_has_its_own_puts_under_the_sum_of_its_parts(make_site: Callable[..., Site]) -> None:
    site = make_site(
        nodearrays={
            "htc": {"max_count": 60, "buckets": [bucket()]},
            "big": {"buckets": [bucket("Standard_D8s_v5", vcpu_count=8)]},
        }
    )
    site.scheduler.submit("small", iterations=60)
    site.scheduler.submit("large", cpus=8, iterations=51)
    report = site.cycle()
    assert len(site.names()) == 111
    assert report.puts == len(site.puts()) == 2 + 2
    assert {entry.pool for entry in site.puts()} == {"htc", "big"}
    by_array = {name: record.nodearray for name, record in site.records().items()}
    assert {name: name.split("-")[1] for name in by_array} == by_array


def test_progress_hears_of_the_plan_first_and_of_every_chunk(site: Site) -> None:
    told = Told()
    site.scheduler.submit("array", iterations=100)
    site.cycle(told)
    assert told.steps[0] == "planned 100"
    assert sorted(told.steps[1:]) == ["chunk_0 50", "chunk_1 50"]


def test_an_empty_queue_writes_nothing_to_the_cloud(site: Site) -> None:
    report = site.cycle()
    assert (claimed(report.plan), site.names(), report.puts) == ([], [], 0)
    assert {entry.method for entry in site.requests()} == {"GET"}


def test_names_are_in_the_ledger_before_the_first_request_that_writes_leaves(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.scheduler.submit("array", iterations=60)
    seen: list[dict[str, MachineState]] = []

    with site.world() as world:
        for method in ("ensure_pool", "create_machines"):
            real = getattr(world.cloud, method)

            def spy(*args: Any, real: Any = real) -> Any:
                assert all(entry.method == "GET" or entry.operation == "pool.put" for entry in site.requests())
                seen.append({name: record.state for name, record in site.records().items()})
                return real(*args)

            monkeypatch.setattr(world.cloud, method, spy)
        report = run_cycle(world)
    intended = dict.fromkeys(claimed(report.plan), MachineState.INTENDED)
    assert (len(seen), len(intended)) == (2, 60)
    assert seen == [intended, intended]


def test_t03a_the_next_cycle_asks_for_nothing_while_the_first_ones_machines_boot(site: Site) -> None:
    site.scheduler.submit("array", iterations=70)
    site.cycle()
    for wait_s in (0.0, 5.0, 20.0, 15.0, 30.0):
        site.advance(wait_s)
        report = site.cycle()
        assert claimed(report.plan) == []
        assert {node.name for node in report.observation.snapshot.nodes} == set(site.names())
    assert len(site.puts()) == 2


def test_more_work_gets_only_what_is_missing_beside_the_machines_in_flight(site: Site) -> None:
    site.scheduler.submit("first", iterations=10)
    site.cycle()
    site.scheduler.submit("second", iterations=3)
    assert claimed(site.cycle().plan) == ["site-htc-11", "site-htc-12", "site-htc-13"]
    assert len(site.names()) == 13


def test_t03b_64_jobs_ticks_of_15_s_boots_of_10_min_that_join_one_after_another_make_64_creates(
    make_site: Callable[..., Site],
) -> None:
    staggered = Timing(
        pool_create=Delay(1.0),
        machine_create=Delay(540.0, 60.0, "uniform"),
        node_register=Delay(30.0, 20.0, "uniform"),
        node_ready=Delay(30.0, 20.0, "uniform"),
    )
    site = make_site({"timing": staggered})
    for number in range(64):
        site.scheduler.submit(f"job-{number}")
    ticks, started = 0, []
    while site.scheduler.jobs:
        report = site.cycle()
        started.append(site.scheduler.start_all())
        assert not report.releases.deleted
        site.advance(15.0)
        ticks += 1
        assert ticks < 80
    assert sum(started) == 64
    assert len([number for number in started if number]) >= 5, "they did not join one after another"
    assert (len(site.created()), len(set(site.created()))) == (64, 64)
    assert ticks > 30


def test_an_array_counts_its_machines_not_its_tasks(site: Site) -> None:
    site.scheduler.submit("array", cpus=1, iterations=10)
    site.cycle()
    assert len(site.names()) == 3


def test_the_ownership_mark_stands_in_name_tag_and_node_label_of_every_machine(site: Site) -> None:
    site.scheduler.submit("array", iterations=3)
    report = site.cycle()
    for machine in site.machines():
        assert machine.name.startswith("site-htc-")
        assert machine.tags is not None
        assert machine.tags[OWNER_TAG] == "site"
        assert machine.tags[NODEARRAY_TAG] == "htc"
        assert machine.tags[PLAN_TAG] == report.plan_id
        assert GROUP_TAG not in machine.tags
        assert machine.template["kubernetes"]["nodeLabels"][OWNER_TAG] == "site"


def test_a_gang_is_in_one_placement_group_which_its_machines_tags_and_the_ledger_tell(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(nodearrays={"hpc": {"placement_groups": ["pg1"], "buckets": [bucket()]}})
    site.scheduler.submit("mpi", node_count=4, colocated=True)
    site.scheduler.submit("loose", iterations=2)
    report = site.cycle()
    grouped = {machine.name for machine in site.machines() if (machine.tags or {}).get(GROUP_TAG) == "pg1"}
    assert grouped == {claim.name for claim in report.plan.claims if claim.bucket.placement_group == "pg1"}
    assert (len(grouped), len(site.names())) == (4, 6)
    assert {name for name, record in site.records().items() if record.placement_group == "pg1"} == grouped
    site.boot()
    again = site.cycle()
    assert claimed(again.plan) == []
    assert {node.name for node in again.observation.snapshot.nodes if node.placement_group == "pg1"} == grouped


def test_what_the_site_says_of_a_node_array_is_on_its_machines(make_site: Callable[..., Site]) -> None:
    site = make_site(
        nodearrays={
            "htc": {
                "buckets": [bucket(zone="2")],
                "spot": True,
                "node_labels": {"sched.example/queue": "htc"},
                "tags": {"cost": "42"},
            }
        }
    )
    site.scheduler.submit("array", iterations=2)
    site.cycle()
    for machine in site.machines():
        assert (machine.size.name, machine.spot, machine.zones) == (SIZE, True, ("2",))
        assert (machine.tags or {})["cost"] == "42"
        assert machine.template["kubernetes"]["nodeLabels"]["sched.example/queue"] == "htc"


def test_the_scheduler_is_told_of_the_machines_that_were_accepted(site: Site) -> None:
    site.scheduler.submit("array", iterations=3)
    site.fault(kind="client_error", names=("site-htc-2",), count=99)
    report = site.cycle()
    assert report.names(LaunchState.REJECTED) == ["site-htc-2"]
    assert site.scheduler.told("add") == ["site-htc-1", "site-htc-3"]


def test_a_scheduler_that_cannot_be_told_of_new_nodes_is_a_notice_and_the_machines_stand(site: Site) -> None:
    site.scheduler.submit("array", iterations=2)
    site.scheduler.failing["add"] = "scontrol: no route"
    report = site.cycle()
    assert len(report.notices) == 1
    assert "scontrol: no route" in report.notices[0]
    assert (len(site.names()), set(site.records())) == (2, set(site.names()))


def test_the_site_limit_binds_over_cycles_and_the_rest_waits_with_the_reason(make_site: Callable[..., Site]) -> None:
    site = make_site(nodearrays={"htc": {"max_count": 5, "buckets": [bucket()]}})
    site.scheduler.submit("array", iterations=12)
    reports = site.cycles(3, every_s=30.0)
    assert [len(claimed(report.plan)) for report in reports] == [5, 0, 0]
    assert reasons(reports[0].plan) == reasons(reports[2].plan) == {"LIMIT"}
    assert len(site.names()) == 5


def test_max_creates_per_cycle_spreads_a_burst(make_site: Callable[..., Site]) -> None:
    site = make_site(policy={"max_creates_per_cycle": 8})
    site.scheduler.submit("array", iterations=20)
    assert [len(claimed(report.plan)) for report in site.cycles(4, every_s=10.0)] == [8, 8, 4, 0]
    assert len(set(site.created())) == 20
