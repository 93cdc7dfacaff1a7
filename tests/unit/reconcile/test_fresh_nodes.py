"""What a scheduler says of machines to come, joined with the site's own rules (D1, D2, D6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.matching.resources import parse_default_resources, resolve_kind
from autoscale_aks.reconcile.fresh_nodes import rules_of_cycle
from autoscale_aks.schedulers.port import NodeOverhead, SchedulerState
from autoscale_aks.units import Size, exact

if TYPE_CHECKING:
    from collections.abc import Mapping

GIB = 2**30
SITE = (
    {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
    {"select": {}, "name": "mem", "value": "node.memory", "subtract": "memory::1g"},
)


class Site:
    """A configuration, as far as rules go."""

    def __init__(self, rules: tuple[Mapping[str, Any], ...], *, disable: bool = False) -> None:
        self.default_resources = rules
        self.disable_default_resources = disable


def resources(
    *overheads: NodeOverhead,
    site: tuple[Mapping[str, Any], ...] = SITE,
    rules: tuple[Mapping[str, Any], ...] = (),
    own: Mapping[str, Any] | None = None,
    gpus: int = 0,
    disable: bool = False,
) -> Mapping[str, Any]:
    """What a fresh node of 4 CPUs and 16 GiB has."""
    state = SchedulerState(jobs=(), nodes=None, node_rules=rules, overheads=overheads)
    raw = rules_of_cycle(Site(site, disable=disable), state)  # type: ignore[arg-type]
    parsed = parse_default_resources(raw, disable_defaults=disable)
    facts = {"vcpu_count": 4, "memory": Size(16 * GIB), "gpu_count": gpus}
    return resolve_kind(0, parsed, facts, own or {}, {}, bucket=None).resources


def overhead(select: Mapping[str, Any] | None = None, **amounts: Any) -> NodeOverhead:
    return NodeOverhead(select=select or {}, amounts=amounts)


def test_without_overheads_the_sites_rules_are_as_they_were() -> None:
    state = SchedulerState(jobs=(), nodes=None)
    assert rules_of_cycle(Site(SITE), state) == SITE  # type: ignore[arg-type]


def test_overheads_add_up_and_keep_the_sites_own_rule() -> None:
    found = resources(overhead(ncpus=exact(0.2), mem=Size(GIB)), overhead(mem=Size(GIB)))
    assert found["ncpus"] == exact(3.8)
    assert found["mem"] == Size(13 * GIB), "16 less the site's 1 less 2"


@pytest.mark.parametrize(("gpus", "cpus"), [(0, 4), (1, 3)])
def test_an_overhead_counts_only_where_it_applies(gpus: int, cpus: int) -> None:
    assert resources(overhead({"node.gpu_count": 1}, ncpus=1), gpus=gpus)["ncpus"] == cpus


def test_more_overhead_than_there_is_leaves_nothing() -> None:
    assert resources(overhead(ncpus=3), overhead(ncpus=3))["ncpus"] == 0


def test_what_a_node_array_defines_itself_is_never_touched() -> None:
    assert resources(overhead(ncpus=1), own={"ncpus": 7})["ncpus"] == 7


def test_a_built_in_resource_can_have_an_overhead_unless_built_ins_are_off() -> None:
    assert resources(overhead(ncpus=1), site=())["ncpus"] == 3
    assert "ncpus" not in resources(overhead(ncpus=1), site=(), disable=True)


def test_the_schedulers_rules_stand_after_the_sites() -> None:
    rules = ({"select": {}, "name": "ncpus", "value": 99}, {"select": {}, "name": "slots", "value": "node.vcpu_count"})
    found = resources(rules=rules)
    assert (found["ncpus"], found["slots"]) == (4, 4)
