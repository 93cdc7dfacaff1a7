"""`azaks plan --explain-cost`: cost by bucket, bound, gap, what binds, and every simple rule."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from builders import array, job, scenario
from click.testing import CliRunner

from autoscale_aks.cli.plan import command

if TYPE_CHECKING:
    from pathlib import Path


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
