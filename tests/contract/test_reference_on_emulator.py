"""Sizes, quota, prices and subnets over real HTTP: two readings of one wire that must agree (aks-machine-api.md §9)."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.cloud.aks.auth import NoTokens, StaticTokenSource
from autoscale_aks.cloud.aks.budget import RateBudget
from autoscale_aks.cloud.aks.caller import Caller, Patience
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import AksEndpoints
from autoscale_aks.cloud.aks.transport import HttpTransport
from autoscale_aks.cloud.azure.cache import FileCache
from autoscale_aks.cloud.azure.endpoints import AzureEndpoints
from autoscale_aks.cloud.azure.reference import AzureReference, ReferenceRules
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings, QuotaSettings, subnet_id
from autoscale_aks.model.sizes import SourceRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from autoscale_aks.emulator.faults import Target

CLUSTER = ClusterSpec(pools=("np1",))
PLACE = CLUSTER.location
START = 1_800_000_000.0


@contextmanager
def world(
    directory: Path | None = None, rules: ReferenceRules | None = None, *, writes: bool = True, **switches: Any
) -> Iterator[tuple[EmulatorServer, AzureReference]]:
    settings = EmulatorSettings(clusters=(CLUSTER,), speed=0.0, start_time=START, **switches)
    with EmulatorServer(settings) as server:
        yield server, client(server, directory, rules, writes=writes)


def client(
    server: EmulatorServer, directory: Path | None = None, rules: ReferenceRules | None = None, *, writes: bool = True
) -> AzureReference:
    clock = server.clock
    effects = Effects(now=clock.now, sleep=clock.advance, random=lambda: 0.0)
    aks = AksEndpoints(
        arm_url=server.base_url,
        scope="emulator/.default",
        subscription=CLUSTER.subscription,
        resource_group=CLUSTER.resource_group,
        cluster=CLUSTER.name,
    )
    transport, budget = HttpTransport(), RateBudget(effects=effects)
    patience = Patience(throttle_s=5.0)
    tokens = StaticTokenSource("emulated", endpoint=server.base_url)
    return AzureReference(
        endpoints=AzureEndpoints(
            arm_url=server.base_url, subscription=CLUSTER.subscription, retail_url=server.base_url
        ),
        pools_url=aks.pools_url(),
        arm=Caller(transport, tokens, budget, patience=patience, effects=effects),
        retail=Caller(transport, NoTokens(), budget, patience=patience, effects=effects),
        rules=rules or ReferenceRules(),
        cache=FileCache(directory, scope="emulator", writes=writes),
        effects=effects,
    )


def asked(server: EmulatorServer, operation: str) -> int:
    return sum(entry.operation == operation for entry in server.journal.entries())


def test_sizes_come_over_many_pages_and_only_virtual_machines() -> None:
    with world(sku_page_size=7) as (server, azure):
        found = azure.sizes(PLACE)
        assert found.value is not None
        assert asked(server, "sku.list") > 5
        assert len(found.value) == len(list(server.state.catalog))
        size = found.value["standard_hb120-16rs_v3"].facts
        assert (size.vcpus, size.vcpus_available, size.vcpus_per_core) == (120, 16, 1)
        assert found.value["standard_nc24ads_a100_v4"].facts.gpus == 1
        assert found.value["standard_d4s_v5"].facts.memory_gib == 16


def test_restrictions_of_the_subscription_are_seen() -> None:
    with world(restrictions={"Standard_D2s_v5": ("2",), "Standard_D4s_v5": ()}) as (_, azure):
        sizes = azure.sizes(PLACE).value or {}
        assert sizes["standard_d2s_v5"].facts.zones == ("1", "3")
        assert sizes["standard_d4s_v5"].restriction == "NotAvailableForSubscription"


def test_prices_come_over_many_pages_without_a_token() -> None:
    with world(price_page_size=11) as (server, azure):
        prices = azure.prices(PLACE).value or {}
        assert asked(server, "price.list") > 5
        assert prices["standard_d4s_v5"].regular == Fraction("0.192")
        assert prices["standard_d4s_v5"].spot == Fraction("0.0576")
        assert prices["standard_b2s"].spot is None


def test_usages_lag_as_the_emulator_is_told() -> None:
    quota = QuotaSettings(limits={"standardDSv5Family": 500}, used_by_others={"standardDSv5Family": 96}, lag_s=120.0)
    with world(quota=quota) as (server, azure):
        (usage,) = [one for name, one in (azure.usages(PLACE).value or {}).items() if name == "standarddsv5family"]
        assert (usage.current, usage.limit) == (96, 500)
        size = server.state.catalog.find("Standard_D4s_v5")
        assert size is not None
        server.state.quotas[CLUSTER.subscription, PLACE].reserve(size, spot=False)
        server.clock.advance(61)
        assert (azure.usages(PLACE).value or {})["standarddsv5family"].current == 96
        server.clock.advance(61)
        assert (azure.usages(PLACE).value or {})["standarddsv5family"].current == 100


def test_a_pool_says_its_subnet_and_the_subnet_its_addresses() -> None:
    subnets = {"nodes": {"prefix": "10.1.0.0/26", "used_by_others": 9, "pools": ["np1"]}}
    with world(subnets=subnets) as (_, azure):
        (pool,) = azure.pools().value or ()
        assert pool.subnet_id == subnet_id(CLUSTER, "nodes")
        view = azure.subnet(pool.subnet_id or "").value
        assert view is not None
        assert (view.usable, view.used) == (59, 9)
        gone = azure.subnet(subnet_id(CLUSTER, "other"))
        assert (gone.value, "404" in gone.detail) == (None, True)


def test_an_answer_is_asked_for_once_while_it_is_young_and_the_next_run_knows_it(tmp_path: Path) -> None:
    with world(tmp_path) as (server, azure):
        for _ in range(3):
            azure.sizes(PLACE)
        assert client(server, tmp_path).sizes(PLACE).value == azure.sizes(PLACE).value
        assert asked(server, "sku.list") == 1
        server.clock.advance(6 * 3600 + 1)
        assert client(server, tmp_path).sizes(PLACE).age_s(server.clock.now()) == 0
        assert asked(server, "sku.list") == 2


def test_a_dry_run_reads_the_cache_and_leaves_it_alone(tmp_path: Path) -> None:
    with world(tmp_path, writes=False) as (_, azure):
        assert azure.sizes(PLACE).value
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [{"kind": "error_before", "status": 500}, {"kind": "error_before", "status": 403, "code": "AuthorizationFailed"},
     {"kind": "reset_before"}, {"kind": "throttle", "after_s": 3600.0}, {"kind": "error_before", "status": 404}],
    ids=["500", "403", "reset", "429", "404"],
)  # fmt: skip
@pytest.mark.parametrize("source", ["sizes", "prices", "usages", "pools"])
def test_a_source_that_fails_gives_its_last_answer_with_the_reason_and_else_nothing(
    tmp_path: Path, fault: dict[str, Any], source: str
) -> None:
    def ask(azure: AzureReference) -> Any:
        return azure.pools() if source == "pools" else getattr(azure, source)(PLACE)

    with world(tmp_path) as (server, azure):
        first = ask(azure)
        assert (first.is_stale, first.detail) == (False, "")
        server.state.faults.add(FaultRule(**fault))
        server.clock.advance(2 * 86_400)
        old = ask(azure)
        assert old.value == first.value
        assert old.is_stale
        assert old.detail
        nothing = ask(client(server))
        assert (nothing.value, nothing.source) == (None, "")
        assert nothing.detail


def test_after_a_failure_the_source_is_left_alone_for_a_while_by_the_next_run_too(tmp_path: Path) -> None:
    with world(tmp_path) as (server, azure):
        rule = server.state.faults.add(FaultRule(kind="error_before", status=404))
        azure.sizes(PLACE)
        before = asked(server, "sku.list")
        assert client(server, tmp_path).sizes(PLACE).value is None
        assert asked(server, "sku.list") == before
        server.state.faults.remove(rule)
        server.clock.advance(301)
        assert client(server, tmp_path).sizes(PLACE).value


def test_a_question_ends_at_its_deadline() -> None:
    rules = ReferenceRules(sizes=SourceRule(deadline_s=3.0))
    with world(rules=rules) as (server, azure):
        server.state.faults.add(FaultRule(kind="error_before", status=500))
        before = server.clock.now()
        assert azure.sizes(PLACE).value is None
        assert server.clock.now() - before <= 3.0


def test_half_a_list_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with world(sku_page_size=7) as (server, azure):
        book, pages = server.state.faults, iter([None])
        broken = FaultRule(kind="error_before", status=404, code="Gone")

        def hit(kinds: Iterable[str], target: Target) -> FaultRule | None:
            is_page = "error_before" in kinds and target.operation == "sku.list"
            return next(pages, broken) if is_page else None

        monkeypatch.setattr(book, "hit", hit)
        book.add(FaultRule(kind="client_error", names=("nobody",)))
        found = azure.sizes(PLACE)
        assert asked(server, "sku.list") == 2
        assert (found.value, "page 2" in found.detail) == (None, True)


def test_a_source_that_is_switched_off_is_never_asked() -> None:
    off = SourceRule(live=False)
    with world(rules=ReferenceRules(sizes=off, usages=off, subnets=off, prices=off)) as (server, azure):
        found = [azure.sizes(PLACE), azure.usages(PLACE), azure.prices(PLACE), azure.pools()]
        assert [(one.value, one.detail) for one in found] == [(None, "")] * 4
        assert server.journal.entries() == []
