"""A queue larger than its family's quota, from the price list to the granted request, as an operator lives it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from unit.cli.office import Office, work
from unit.reconcile.fakes import emulator_settings
from unit.reconcile.site_fixture import scratch

from autoscale_aks.cli.main import main
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, QuotaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

FAMILY = "standardDSv5Family"
HTC, HPC = 0.192, 0.384
"""The emulator's list prices of D4s_v5 and D8s_v5."""


@pytest.fixture
def site() -> Iterator[Office]:
    quota = QuotaSettings(limits={FAMILY: 72}, used_by_others={FAMILY: 32, "cores": 32}, lag_s=0.0)
    settings = emulator_settings(clusters=(ClusterSpec(pools=("htc", "hpc")),), quota=quota, start_time=None)
    with EmulatorServer(settings) as emulator, scratch() as directory:
        office = Office(directory, emulator)
        arrays = {
            "htc": {"buckets": [{"vm_size": "Standard_D4s_v5"}]},
            "hpc": {"buckets": [{"vm_size": "Standard_D8s_v5"}]},
        }
        office.configure(nodearrays=arrays, prices={"url": emulator.base_url}, quota={"max_age_s": 0})
        own = [work(f"htc-{number}", constraints=[{"ncpus": 4, "node.nodearray": "htc"}]) for number in range(6)]
        gang = {"name": "gang", "constraints": [{"ncpus": 8, "node.nodearray": "hpc"}], "node_count": 4}
        office.queue(*own, gang)
        yield office


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    status = main([*arguments, "--format", "json"])
    said = capsys.readouterr()
    assert status == 0, said.err
    return json.loads(said.out)


def limit_of(demand: Any, kind: str) -> Any:
    return next(row for row in demand["limits"] if row["kind"] == kind)


def change(site: Office, **more: Any) -> None:
    """Other settings of the same site."""
    document = json.loads((site.directory / "autoscale.json").read_text())
    site.write("autoscale.json", {**document, **more})


def test_a_binding_family_quota_is_clipped_explained_priced_and_mended(
    site: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    # 40 of 72 cores are left: six jobs of 4 cores fit, the gang of 32 cores does not, and is not torn apart.
    demand = answer(capsys, "demand", "-c", site.config)
    assert demand["summary"]["machines"] == 6
    assert demand["summary"]["price_per_hour"] == pytest.approx(6 * HTC)
    (waiting,) = [row for row in demand["waiting"] if row["jobs"] == 1]
    assert waiting["code"] == "LOST_TO_PRIORITY"
    assert waiting["next"] == f"wait, or raise {FAMILY} in eastus2 by 16 cores"
    rows = {row["kind"]: row for row in answer(capsys, "limits", "-c", site.config)["limits"]}
    assert (rows["family quota"]["used"], rows["family quota"]["left"]) == (32, 40)

    done = answer(capsys, "autoscale", "-c", site.config)["done"]
    assert (len(done["accepted"]), done["rejected"]) == (6, [])
    rows = {row["kind"]: row for row in answer(capsys, "limits", "-c", site.config)["limits"]}
    assert (rows["family quota"]["used"], rows["family quota"]["in_flight"]) == (56, 24)

    # What is asked for is exact: with one core less the gang still waits, with it all is served.
    (missing,) = answer(capsys, "limits", "-c", site.config, "--missing")["missing"]
    assert (missing["limit"], missing["limit_value"], missing["needed"]) == (FAMILY, 72, 88)
    (counters,) = site.emulator.state.quotas.values()
    counters.set_limit(FAMILY, missing["needed"] - 1)
    assert answer(capsys, "demand", "-c", site.config)["summary"]["machines"] == 0
    counters.set_limit(FAMILY, missing["needed"])
    demand = answer(capsys, "demand", "-c", site.config)
    assert demand["summary"]["machines"] == 4
    assert demand["summary"]["price_per_hour"] == pytest.approx(4 * HPC)
    done = answer(capsys, "autoscale", "-c", site.config)["done"]
    assert (len(done["accepted"]), done["rejected"]) == (4, [])
    assert len(site.machines()) == 10
    assert answer(capsys, "limits", "-c", site.config, "--missing")["missing"] == []


@pytest.mark.parametrize("objective", ["order", "cost"])
def test_by_either_objective_what_is_clipped_is_counted_priced_and_done_the_same(
    site: Office, capsys: pytest.CaptureFixture[str], objective: str
) -> None:
    change(site, policy={"objective": objective})
    demand = answer(capsys, "demand", "-c", site.config)
    row = limit_of(demand, "family quota")
    assert (row["limit"], row["used"], row["added"], row["left"], row["missing"]) == (40, 0, 24, 16, 16)
    assert demand["actions"] == [f"raise {FAMILY} in eastus2 by 16 cores"]
    assert demand["prices"]["plan"] == {
        "machines": 6, "price_per_hour": pytest.approx(6 * HTC), "known_per_hour": pytest.approx(6 * HTC),
        "unpriced_machines": 0,
    }  # fmt: skip
    shares = {one["name"]: one["price_per_hour"] for one in demand["jobs"]}
    assert shares == {**{f"htc-{number}": pytest.approx(HTC) for number in range(6)}, "gang": 0}
    if objective == "cost":
        cost = demand["cost"]
        assert cost["price_per_hour"] == pytest.approx(6 * HTC)
        assert 0 <= cost["gap"] < 0.001
        assert f"The plan costs ${6 * HTC:.2f} an hour" in demand["cost_certificate"]
    else:
        assert demand["cost_certificate"] is None
    named = {claim["name"] for claim in demand["new_nodes"]}
    done = answer(capsys, "autoscale", "-c", site.config)["done"]
    assert (set(done["accepted"]), done["rejected"]) == (named, [])


@pytest.mark.parametrize("objective", ["order", "cost"])
def test_a_budget_below_the_quota_clips_first_and_is_explained_in_money(
    site: Office, capsys: pytest.CaptureFixture[str], objective: str
) -> None:
    # Four of the six machines are paid for; the budget of all binds before the 40 cores of the family do.
    change(site, policy={"objective": objective}, limits={"budget_per_hour": 4 * HTC + 0.1})
    demand = answer(capsys, "demand", "-c", site.config)
    assert demand["summary"]["machines"] == 4
    row = limit_of(demand, "budget")
    assert (row["unit"], row["limit"], row["added"]) == (
        "an hour",
        pytest.approx(4 * HTC + 0.1),
        pytest.approx(4 * HTC),
    )
    assert row["missing"] == pytest.approx(2 * HTC + 4 * HPC - 0.1)
    assert limit_of(demand, "family quota")["missing"] == 16
    assert demand["actions"] == [
        f"raise {FAMILY} in eastus2 by 16 cores",
        f"raise limits.budget_per_hour by {2 * HTC + 4 * HPC - 0.1:.2f} an hour",
    ]
    done = answer(capsys, "autoscale", "-c", site.config)["done"]
    assert (len(done["accepted"]), done["rejected"]) == (4, [])
    rows = {one["kind"]: one for one in answer(capsys, "limits", "-c", site.config)["limits"]}
    assert rows["budget"]["used"] == pytest.approx(4 * HTC)

    # Money is the site's own; only the quota is asked of Azure, and nothing runs against the budget meanwhile.
    assert answer(capsys, "demand", "-c", site.config)["summary"]["machines"] == 0
    change(site, policy={"objective": objective}, limits={"budget_per_hour": 6 * HTC + 4 * HPC})
    (missing,) = answer(capsys, "limits", "-c", site.config, "--missing")["missing"]
    assert (missing["limit"], missing["increase"]) == (FAMILY, 16)
    (counters,) = site.emulator.state.quotas.values()
    counters.set_limit(FAMILY, missing["needed"])
    demand = answer(capsys, "demand", "-c", site.config)
    assert demand["summary"]["machines"] == 6
    assert demand["prices"]["plan"]["price_per_hour"] == pytest.approx(2 * HTC + 4 * HPC)
    done = answer(capsys, "autoscale", "-c", site.config)["done"]
    assert (len(done["accepted"]), done["rejected"]) == (6, [])


def test_where_the_numbers_are_not_to_be_had_the_refusal_teaches(
    site: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads((site.directory / "autoscale.json").read_text())
    site.write("autoscale.json", {**document, "quota": {"live": False}})
    assert answer(capsys, "demand", "-c", site.config)["summary"]["machines"] == 10
    main(["autoscale", "-c", site.config])
    capsys.readouterr()
    site.emulator.clock.advance(15)
    main(["autoscale", "-c", site.config])
    capsys.readouterr()
    with_error = [
        machine for pool in site.emulator.state.pools() for machine in pool.listed() if machine.error is not None
    ]
    assert with_error
    assert all("quota" in str(machine.error) for machine in with_error)
    buckets = answer(capsys, "buckets", "-c", site.config)["buckets"]
    assert any(row["retry_at"] for row in buckets)
