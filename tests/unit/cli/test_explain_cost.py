"""`azaks plan --explain-cost`: cost by bucket, bound, gap, what binds, and every simple rule."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from builders import array, job, scenario
from click.testing import CliRunner
from unit.cli.office import Office, work
from unit.reconcile.fakes import emulator_settings

from autoscale_aks.cli.main import main
from autoscale_aks.cli.plan import command
from autoscale_aks.emulator.server import EmulatorServer


def shown(tmp_path: Path, policy: dict[str, object], *options: str) -> str:
    big = {"vm_size": "Big", "vm_family": "b", "vcpu_count": 8, "memory_gb": 16, "price": 0.36}
    small = {"vm_size": "Small", "vcpu_count": 4, "memory_gb": 8, "price": 0.2}
    limits = {"families": {"westus2": {"b": {"quota_cores": 16}}}}
    raw = scenario(job("a", {"ncpus": 3}, count=11), arrays=[array("a", small, big)], limits=limits, policy=policy)
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    done = CliRunner().invoke(command, ["--scenario", str(path), *options], standalone_mode=False)
    assert done.exception is None
    return done.output


def test_a_plan_by_price_is_explained(tmp_path: Path) -> None:
    text = shown(tmp_path, {"objective": "cost"}, "--format", "table", "--explain-cost")
    for words in (
        "Cost by bucket",
        "a/Big",
        "lower bound",
        "this plan",
        "ratio greedy",
        "family quota",
        "b in westus2",
    ):
        assert words in text


def test_without_a_bound_it_says_why(tmp_path: Path) -> None:
    assert "No bound" in shown(tmp_path, {}, "--format", "table", "--explain-cost")


def test_the_cost_object_stands_in_plans_by_price_only(tmp_path: Path) -> None:
    cost = json.loads(shown(tmp_path, {"objective": "cost"}))["cost"]
    assert cost["price_per_hour"] == 2.12
    assert 0 <= cost["gap"] < 0.001
    assert "cost" not in json.loads(shown(tmp_path, {}))


def told(policy: dict[str, object], *options: str, **bucket: object) -> str:
    """What is printed of one job on one size, told in one line."""
    size = {"vm_size": "Small", "vcpu_count": 4, "memory_gb": 8, **bucket}
    raw = scenario(job("a", {"ncpus": 3}, count=2), arrays=[array("a", size)], policy=policy)
    done = CliRunner().invoke(command, ["--scenario", "-", *options], input=json.dumps(raw), standalone_mode=False)
    assert done.exception is None
    return " ".join(done.output.split())


@pytest.mark.parametrize(
    ("policy", "price", "why"),
    [
        ({}, 1, "the objective is the configured order; set policy.objective to cost"),
        ({"objective": "cost", "optimize_seconds": None}, 1, "policy.optimize_seconds is null"),
        ({"objective": "cost", "placement_order": "bucket"}, 1, "it needs policy.placement_order existing-first"),
        ({"objective": "cost"}, None, "the price of a/Small (2 machines) is not known; state it in prices.overrides"),
    ],
)
def test_why_there_is_no_bound_is_said_of_this_plan(policy: dict[str, object], price: object, why: str) -> None:
    bucket = {} if price is None else {"price": price}
    assert f"No bound: {why}" in told(policy, "--format", "table", "--explain-cost", **bucket)


def test_json_explains_cost_when_it_is_asked_for(tmp_path: Path) -> None:
    explained = json.loads(shown(tmp_path, {"objective": "cost"}, "--explain-cost"))["cost_explained"]
    assert explained["sentence"].startswith("The plan costs $2.12 an hour")
    assert [row["name"] for row in explained["buckets"]] == ["a/Small", "a/Big"]
    assert sum(row["price_per_hour"] for row in explained["buckets"]) == pytest.approx(2.12)
    against = {row["name"]: row for row in explained["against"]}
    assert against["this plan"]["price_per_hour"] == pytest.approx(2.12)
    assert against["lower bound"]["price_per_hour"] <= 2.12
    assert explained["limits"][0]["name"] == "b in westus2"
    without = json.loads(shown(tmp_path, {}, "--explain-cost"))["cost_explained"]
    assert without["sentence"].startswith("No bound")
    assert without["against"] == []
    assert "cost_explained" not in json.loads(shown(tmp_path, {"objective": "cost"}))


def test_without_the_solver_the_plan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "extra `optimize`" not in told({"objective": "cost"}, "--format", "table", price=1)
    monkeypatch.setitem(sys.modules, "highspy", None)
    assert "the extra `optimize` (HiGHS) is not installed" in told({"objective": "cost"}, "--format", "table", price=1)
    assert "extra `optimize`" not in told({"objective": "cost", "optimize_seconds": 0}, "--format", "table", price=1)


def test_an_unknown_price_is_named_with_what_the_rest_costs() -> None:
    text = told({}, "--format", "table")
    assert "the price of a/Small (2 machines) is not known; all the rest is 0.00 an hour" in text


def test_the_table_in_a_file_explains_cost_too(tmp_path: Path) -> None:
    with EmulatorServer(emulator_settings()) as emulator:
        office = Office(tmp_path, emulator)
        office.configure(policy={"objective": "cost"}, prices={"url": emulator.base_url})
        office.queue(work())
        path = tmp_path / "demand.txt"
        assert main(["demand", "-c", office.config, "--explain-cost", "-o", str(path)]) == 0
        told = path.read_text(encoding="utf-8")
        assert "Against the least price" in told
        assert re.search(r"^prices of eastus2: retail price API, \d+ s old$", told, re.MULTILINE)
        page = tmp_path / "demand.json"
        assert main(["demand", "-c", office.config, "--format", "json", "-o", str(page)]) == 0
    sources = {one["name"]: one["detail"] for one in json.loads(page.read_text(encoding="utf-8"))["sources"]}
    assert sources["prices of eastus2"] == "retail price API"


def test_the_worked_example_of_the_docs_is_what_is_printed() -> None:
    page = (Path(__file__).parents[3] / "docs" / "quota-and-prices.md").read_text(encoding="utf-8")
    section = page.partition("## Plans by price")[2].partition("\n## ")[0]
    (given,) = re.findall(r"^```json\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (told,) = re.findall(r"^```text\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    arguments = ["--scenario", "-", "--format", "table", "--explain-cost"]
    done = CliRunner().invoke(command, arguments, input=given, standalone_mode=False)
    assert done.exception is None
    assert "\n".join(line.rstrip() for line in done.output.splitlines()).endswith(told.rstrip())
