"""What nodes that do not exist yet will have (matching.md §4, D1–D7; V1, V4)."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, code, f2, f4, job, left_on, node, places, scenario, sizes_of, solve
from checker import check

from autoscale_aks.matching.expression import parse_expression
from autoscale_aks.matching.resources import parse_default_resources, unused_entries
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.planning.space import build_space
from autoscale_aks.units import Size


def resources(rules: list[Any], nodes: Any = (), **extra: Any) -> dict[str, Any]:
    """The resources of a new F4 under these rules, or of the first node when some are given."""
    raw = scenario(job("a", {}), default_resources=rules, nodes=nodes, **extra)
    answer = solve(raw)
    assert answer["ok"], answer
    assert check(raw, answer) == []
    return (answer["existing_nodes"] if nodes else answer["new_nodes"])[0]["available"]


def entry(name: str, value: Any, select: Any = None, **extra: Any) -> dict[str, Any]:
    return {"select": select or {}, "name": name, "value": value, **extra}


def test_d1_the_first_entry_whose_select_holds_defines() -> None:
    rules = [entry("x", 1, {"node.vm_size": "Standard_F2"}), entry("x", 2), entry("x", 3)]
    assert resources(rules)["x"] == 2


def test_d1_a_linter_warns_of_entries_that_never_apply() -> None:
    raw = scenario(job(), default_resources=[entry("x", 1), entry("x", 2), entry("y", 1, {"node.gpu_count": 9})])
    rules = parse_default_resources(raw["default_resources"])
    space = build_space(decode_scenario(raw)[0], rules)
    assert [problem.path for problem in unused_entries(rules, space.kinds)] == [
        "default_resources[1]",
        "default_resources[2]",
    ]


def test_d2_what_the_node_array_or_the_scheduler_says_is_never_overridden() -> None:
    assert resources([entry("x", 1)], arrays=[array(resources={"x": 7})])["x"] == 7
    assert resources([entry("ncpus", 1)], [node(resources={"ncpus": 3})])["ncpus"] == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"), (2.5, 2.5), (True, True), ("node.vcpu_count", 4), ("node.vm_size", "Standard_F4"),
        ("node.memory", "size::8g"), ("size::20g", "size::20g"), ("memory::1.5g", "size::1.5g"),
        ("node.resources.lanes", 8),
        ("node.software_configuration.a.b", "deep"), ("`node.vcpu_count / 3 * 3`", 4), ("`node.vcpu_count // 3`", 1),
        ("`min(node.vcpu_count, 3) + max(1, 2)`", 5), ("`(1 + 2) * 3 - -1`", 10), ("`node.memory - memory::1g`",
                                                                                   "size::7g"),
        ("`node.memory / memory::2g`", 4), ("`8 if node.vcpu_count >= 4 else 2`", 8),
        ("`8 if node.vm_size == 'X' else 2`", 2),
        ("`node.vcpu_count * 0.1`", 0.4), ("`1 if node.gpu_count != 0 else 2 if node.vcpu_count < 4 else 3`", 3),
        ("`vcpu_count`", 4),
    ],
)  # fmt: skip
def test_d3_values(value: Any, expected: Any) -> None:
    arrays = [array(resources={"lanes": 8}, software_configuration={"a": {"b": "deep"}})]
    assert resources([entry("r", value)], arrays=arrays)["r"] == expected


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "node.x", "__import__('os')", "1 1", "(1", "min()", "1 if 2", "a.b", "1 < 2 < 3", "'", "()" * 300],
)
def test_d3_what_is_no_expression_is_an_error_never_evaluated(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_expression(text)


def test_d3_depth_and_length_are_bounded() -> None:
    for text in ("(" * 500 + "1" + ")" * 500, "-" * 900 + "1", "1+" * 2000 + "1"):
        with pytest.raises(ValueError, match=r"deeper|longer"):
            parse_expression(text)


@pytest.mark.parametrize(
    ("modifier", "expected"), [("add", 6), ("subtract", 2), ("multiply", 8), ("divide", 2), ("divide_floor", 2)]
)
def test_d4_modifiers(modifier: str, expected: int) -> None:
    assert resources([entry("r", "node.vcpu_count", **{modifier: 2})])["r"] == expected


def test_d4_a_magnitude_may_be_a_size() -> None:
    assert resources([entry("mem", "node.memory", subtract="memory::1g")])["mem"] == "size::7g"


@pytest.mark.parametrize(
    ("rule", "words"),
    [(entry("r", "text", add=1), "add"), (entry("r", 1, add=1, divide=2), "at most one"), (entry("r", 1, add="x"),
                                                                                           "number"),
     (entry("r", 1, divide=0), "zero"), (entry("r", True, multiply=2), "multiply")],
)  # fmt: skip
def test_d4_a_modifier_that_cannot_work_is_an_error_at_load(rule: Any, words: str) -> None:
    answer = solve(scenario(job(), default_resources=[rule]))
    assert answer["ok"] is False
    assert answer["errors"][0]["path"].startswith("default_resources[0]")
    assert words in answer["errors"][0]["message"]


def test_d5_a_select_may_use_what_earlier_entries_defined() -> None:
    rules = [entry("kind", "small", {"node.vcpu_count": 4}), entry("slots", 8, {"kind": "small"}), entry("n", 1,
                                                                                                         {"slots": 8}),
             entry("m", 1, {"slots": 9})]  # fmt: skip
    found = resources(rules)
    assert (found["slots"], found["n"], "m" in found) == (8, 1, False)


def test_d6_built_ins_stand_after_the_list() -> None:
    found = resources([entry("ncpus", "node.pcpu_count"), entry("memgb", 3)], arrays=[array("htc", f4(pcpu_count=2))])
    assert (
        found | {"ncpus": 2, "pcpus": 2, "ngpus": 0, "memgb": 3, "memmb": 8192, "memtb": 8 / 1024, "nodearray": "htc"}
        == found
    )
    live = scenario(
        job("a", {"ccnodeid": "vm-1"}), default_resources=[], nodes=[node("htc-2"), node(instance_id="vm-1")]
    )
    assert places(solve(live), "a") == {"htc-1": 1}


def test_d6_they_can_be_switched_off() -> None:
    assert resources([entry("ncpus", 4)], disable_default_resources=True) == {"ncpus": 4}


def test_d7_absent_data_leaves_it_undefined_unless_none_is_allowed() -> None:
    assert "g" not in resources([entry("g", "node.placement_group")])
    assert resources([entry("g", "node.placement_group", allow_none=True)])["g"] is None
    assert "g" not in resources([entry("g", "`node.gpu_count / node.gpu_count`")])


def test_v1_memory_names_are_views_of_one_quantity() -> None:
    raw = scenario(job("a", {"mem": "memory::4g"}), job("b", {"memmb": 2048}), job("c", {"memgb": 3}))
    answer = solve(raw)
    assert check(raw, answer) == []
    assert (places(answer, "a"), places(answer, "b"), places(answer, "c")) == ({"htc-1": 1}, {"htc-1": 1}, {"htc-2": 1})
    assert left_on(answer, "htc-1") | {"mem": "size::2g", "memmb": 2048, "memgb": 2} == left_on(answer, "htc-1")


def test_v1_what_the_scheduler_reports_of_memory_is_what_all_views_offer() -> None:
    raw = scenario(job("a", {"mem": "memory::7g"}), job("b", {"memgb": 7}), nodes=[node(resources={"memgb": 7})],
                   arrays=[array("htc", f4(max_count=1))])  # fmt: skip
    answer = solve(raw)
    assert [entry["status"] for entry in answer["jobs"]] == ["success", "failed"]


def test_v4_a_resource_in_gb_is_charged_in_gb() -> None:
    raw = scenario(job("a", {"memgb": "memory::2g"}, iterations=5), default_resources=[])
    assert places(solve(raw), "a") == {"htc-1": 4, "htc-2": 1}
    assert places(solve(scenario(job("a", {"memgb": 2}, iterations=5), default_resources=[])), "a") == {
        "htc-1": 4,
        "htc-2": 1,
    }


def test_v4_a_size_compares_with_a_number_of_bytes() -> None:
    for value in ("memory::8g", 8 * 1024**3, "size::8192m"):
        assert code(solve(scenario(job("a", {"node.memory": value}))), "a") == "WAITING_FOR_BOOT"


def test_v1_forty_slots_of_a_tenth_fit_on_four() -> None:
    answer = solve(scenario(job("a", {"ncpus": 0.1}, iterations=41)))
    assert places(answer, "a") == {"htc-1": 40, "htc-2": 1}
    assert left_on(answer, "htc-1")["ncpus"] == 0


def test_defaults_apply_to_existing_nodes_and_to_each_bucket_alike() -> None:
    rules = [entry("tag", "big", {"ncpus": 4}), entry("tag", "small")]
    raw = scenario(
        job("a", {"tag": "small"}),
        default_resources=[entry("ncpus", "node.vcpu_count"), *rules],
        arrays=[array("htc", f4(), f2())],
    )
    assert sizes_of(solve(raw), "a") == ["Standard_F2"]


def test_expressions_keep_sizes_sizes() -> None:
    facts = {"memory": Size(8 * 1024**3), "vcpu_count": 4}
    assert parse_expression("node.memory / 2").evaluate(facts.get) == Size(4 * 1024**3)
    assert parse_expression("node.memory * node.gpu_count").evaluate(facts.get) is None
    with pytest.raises(ValueError, match="division by zero"):
        parse_expression("1 / 0").evaluate(facts.get)
