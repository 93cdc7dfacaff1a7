"""A workload replayed through the real cycle: what the run says of jobs, machines, hours and cost (T26b)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from simulator_cases import job, replayed
from unit.reconcile.fakes import IDLE_S, OTHER_SIZE, bucket

if TYPE_CHECKING:
    from pathlib import Path

CALM = {"timing": {"machine_create": 40.0, "node_register": 10.0, "node_ready": 10.0, "machine_delete": 20.0}}
"""A machine is a ready node after a minute, and gone twenty seconds after its delete."""


def test_each_job_waits_for_a_boot_and_its_machine_leaves_after_its_idle_timeout(tmp_path: Path) -> None:
    run = replayed(tmp_path, job(count=3), settings=CALM)
    assert run.unfinished == ()
    assert (len(run.machines), run.peak) == (3, 3)
    assert [one.waited_s for one in run.jobs] == [pytest.approx(60.0, abs=6.0)] * 3
    for machine in run.machines:
        assert machine.busy_s == pytest.approx(600.0, abs=1.0)
        lived = machine.gone_s - machine.made_s
        assert 60 + 600 + IDLE_S <= lived <= 60 + 600 + IDLE_S + 20 + 3 * 30 + 10
    assert run.busy_hours == pytest.approx(0.5, rel=0.01)
    assert run.cost == pytest.approx(0.25 * run.machine_hours)
    assert run.waste == pytest.approx(1 - run.busy_hours / run.machine_hours)
    assert run.count[-1][1] == 0


def test_small_jobs_share_a_machine_and_a_second_wave_takes_the_machines_that_are_there(tmp_path: Path) -> None:
    halves = job(count=4, constraints=[{"ncpus": 2}])
    run = replayed(tmp_path, halves, {**halves, "at": 700.0, "name": "again"}, settings=CALM)
    assert len(run.machines) == 2
    again = [one for one in run.jobs if one.name.startswith("again")]
    assert {one.waited_s for one in again} == {0.0}


def test_a_gang_starts_when_all_its_machines_are_there_and_an_exclusive_job_shares_with_none(tmp_path: Path) -> None:
    gang = job(name="mpi", node_count=3, constraints=[{"ncpus": 1, "exclusive": True}])
    run = replayed(tmp_path, gang, job(name="one", constraints=[{"ncpus": 1}]), settings=CALM)
    (mpi,) = (one for one in run.jobs if one.name == "mpi")
    assert mpi.nodes == 3
    assert len(run.machines) == 4


def test_a_workload_is_over_when_the_last_machine_is_gone_and_idle_days_cost_no_cycles(tmp_path: Path) -> None:
    run = replayed(tmp_path, job(), job(at=5 * 86_400.0), settings=CALM)
    assert [one.waited_s for one in run.jobs] == [pytest.approx(60.0, abs=6.0), pytest.approx(75.0, abs=21.0)]
    assert len(run.machines) == 2
    assert run.cycles < 100


def test_a_job_that_no_bucket_takes_ends_the_run_unfinished(tmp_path: Path) -> None:
    jobs = [job(name="huge", constraints=[{"ncpus": 400}]), job(name="fine")]
    run = replayed(tmp_path, *jobs, settings=CALM, interval_s=300.0)
    assert [one.name for one in run.unfinished] == ["huge"]
    assert run.waited(1.0) == pytest.approx(60.0, abs=6.0)


def test_equal_seeds_give_equal_runs(tmp_path: Path) -> None:
    jobs = [job(count=6), job(at=500, count=6, constraints=[{"ncpus": 1}])]
    first, second, other = (replayed(tmp_path, *jobs, seed=seed, interval_s=60.0) for seed in (7, 7, 8))
    assert first == second
    assert first != other


def test_an_evicted_machine_s_job_waits_again_and_is_counted(tmp_path: Path) -> None:
    arrays = {"cheap": {"buckets": [bucket(price=0.05)], "spot": True}}
    faults = [{"kind": "evict", "names": ["site-cheap-1"], "after_s": 200.0}]
    run = replayed(tmp_path, job(), settings={**CALM, "faults": faults}, nodearrays=arrays)
    (story,) = run.jobs
    assert (story.restarts, run.unfinished) == (1, ())
    assert len(run.machines) == 2


def test_a_full_quota_moves_jobs_to_the_other_size_and_the_peak_of_each_family_is_told(tmp_path: Path) -> None:
    arrays = {"htc": {"buckets": [bucket(price=0.2, vm_family="D"), bucket(OTHER_SIZE, price=0.3, vm_family="F")]}}
    sold_out = [{"kind": "provisioning_failure", "code": "SkuNotAvailable", "names": ["site-htc-2"]}]
    run = replayed(tmp_path, job(count=2), settings={**CALM, "faults": sold_out}, nodearrays=arrays)
    assert run.unfinished == ()
    assert dict(run.peak_cores) == {"d": 8, "f": 4}


def test_without_a_price_the_cost_is_unknown_and_not_nothing(tmp_path: Path) -> None:
    run = replayed(tmp_path, job(), settings=CALM, nodearrays={"htc": {"buckets": [bucket()]}})
    assert run.cost is None


def test_the_waiting_time_of_a_share_is_that_of_the_last_job_within_it(tmp_path: Path) -> None:
    run = replayed(tmp_path, job(count=4), settings=CALM, limits={"cluster_max_nodes": 2})
    waits = sorted(one.waited_s or 0.0 for one in run.jobs)
    assert waits[2] >= waits[0] + 600
    assert run.waited(0.5) == waits[1]
    assert run.waited(1.0) == waits[-1]
    assert run.peak == 2
