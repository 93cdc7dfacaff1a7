"""`catalogue`, `quota`, `prices` and budgets in autoscale.json: what is read, and what is told of mistakes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from unit.config.config_samples import changed, problems

from autoscale_aks.config import parse_config
from autoscale_aks.config.references import RETAIL_URL
from autoscale_aks.model.sizes import SizePrices, SourceRule


def config(path: str, value: Any) -> Any:
    return parse_config(json.dumps(changed(path, value)), "/etc/azaks/autoscale.json")


def test_without_a_word_everything_is_asked_and_kept_beside_the_ledger() -> None:
    found = config("aks/owner", "az1").references
    assert found.catalogue.rule.live
    assert found.prices.rule.live
    assert found.catalogue.rule == SourceRule(max_age_s=21_600, deadline_s=30, refresh_s=2, first_s=5, retry_s=300)
    assert found.quota.rule == SourceRule(live=True, max_age_s=60, deadline_s=10, refresh_s=3, retry_s=60)
    assert found.prices.rule == SourceRule(max_age_s=86_400, deadline_s=60, refresh_s=2, first_s=5, retry_s=3600)
    assert found.catalogue.cache_dir is None
    assert config("catalogue/cache_dir", "kept").references.catalogue.cache_dir == Path("/etc/azaks/kept")
    assert (found.quota.stale_s, found.quota.settle_s, found.quota.nodes_per_cluster) == (900, 600, 5000)
    assert found.prices.url == RETAIL_URL


def test_the_schemas_defaults_are_the_programs() -> None:
    text = (Path(__file__).parents[3] / "autoscale_aks" / "config" / "autoscale.schema.json").read_text()
    definitions = json.loads(text)["$defs"]
    found = config("aks/owner", "az1").references
    for name in ("catalogue", "quota", "prices"):
        section = getattr(found, name)
        for key, part in definitions[name]["properties"].items():
            if "default" in part:
                value = getattr(section.rule, key) if hasattr(section.rule, key) else getattr(section, key)
                assert value == part["default"], f"{name}.{key}"


def test_a_bucket_needs_only_its_size_and_what_it_states_is_remembered() -> None:
    found = config("nodearrays/htc/buckets/0", {"vm_size": "Standard_D4s_v5", "gpu_count": 1, "price": None})
    assert found.nodearrays["htc"].stated == (frozenset({"vm_size", "gpu_count"}),)
    zones = changed("nodearrays/htc/zones", ["1", "2"])
    assert len(parse_config(json.dumps(zones)).nodearrays["htc"].stated) == 2


@pytest.mark.parametrize(("cloud", "url"), [("public", RETAIL_URL), ("usgov", None), ("china", None)])
def test_only_the_public_cloud_has_a_price_list(cloud: str, url: str | None) -> None:
    assert config("aks/cloud", cloud).references.prices.url == url


def test_prices_of_the_site_are_exact_and_found_in_any_letter_case() -> None:
    said = {"Standard_D4s_v5": 0.1, "standard_f4": {"regular": 0.2, "spot": 0.05}, "S": {"spot": None}}
    found = config("prices/overrides", said).references.prices.overrides
    assert found["standard_d4s_v5"] == SizePrices(regular=Fraction("0.1"))
    assert found["standard_f4"] == SizePrices(regular=Fraction("0.2"), spot=Fraction("0.05"))
    assert found["s"] == SizePrices()


def test_budgets_are_exact() -> None:
    assert config("limits/budget_per_hour", 12.3).limits.budget_per_hour == Fraction("12.3")
    assert config("nodearrays/htc/budget_per_hour", 0.1).nodearrays["htc"].array.budget_per_hour == Fraction("0.1")


@pytest.mark.parametrize(
    ("path", "value", "where", "words"),
    [
        ("catalogue/live", "yes", "catalogue.live", "true or false"),
        ("catalogue/liv", True, "catalogue.liv", 'did you mean "live"?'),
        ("catalogue/proxied_locations", {"USGov": "eastus"}, "catalogue.proxied_locations.USGov", "short name"),
        ("catalogue/proxied_locations", {"mars": "mars"}, "catalogue.proxied_locations.mars", "borrows from itself"),
        ("quota/deadline_s", 0, "quota.deadline_s", "from 0.1 to 600"),
        ("quota/stale_s", 10, "quota.stale_s", "less than max_age_s"),
        ("quota/addresses_per_node", 0, "quota.addresses_per_node", "from 1"),
        ("quota/nodes_per_pool", -1, "quota.nodes_per_pool", "from 0"),
        ("prices/url", "http://prices.example", "prices.url", "https://"),
        ("prices/overrides", {"S": "cheap"}, "prices.overrides.S", "expected"),
        ("prices/overrides", {"S": {"regula": 1}}, "prices.overrides.S.regula", 'did you mean "regular"?'),
        ("limits/budget_per_hour", -1, "limits.budget_per_hour", "from 0"),
        ("nodearrays/htc/budget_per_hour", "10", "nodearrays.htc.budget_per_hour", "without quotes"),
    ],
)
def test_a_mistake_stands_at_its_path_in_words(path: str, value: Any, where: str, words: str) -> None:
    found = dict(problems(changed(path, value)))
    assert words in found.get(where, f"nothing at {where}: {found}")
