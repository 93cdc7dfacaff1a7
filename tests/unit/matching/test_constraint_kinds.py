"""Each kind of constraint: when it holds and what it takes (matching.md §5, C1–C7)."""

from __future__ import annotations

from typing import Any

import pytest
from builders import array, code, f2, f4, job, left_on, licence, node, outcome, places, scenario, sizes_of, solve
from checker import check


def placed(
    *constraints: Any, arrays: Any = None, iterations: int = 1, **extra: Any
) -> tuple[str, dict[str, int], dict[str, Any]]:
    """A job's status and places in a scenario of its own, checked."""
    raw = scenario(job("a", *constraints, iterations=iterations), arrays=arrays, **extra)
    answer = solve(raw)
    assert check(raw, answer) == []
    return outcome(answer, "a")["status"], places(answer, "a"), answer


def holds(*constraints: Any, **extra: Any) -> bool:
    return placed(*constraints, **extra)[0] == "success"


def test_minimum_resource_takes_its_amount_per_slot() -> None:
    _, where, answer = placed({"ncpus": 1, "mem": "memory::3g"}, iterations=3)
    assert where == {"htc-1": 2, "htc-2": 1}
    assert left_on(answer, "htc-1") | {"ncpus": 2, "mem": "size::2g", "memgb": 2} == left_on(answer, "htc-1")


def test_amounts_of_the_same_resource_add_up_in_and() -> None:
    assert placed({"and": [{"ncpus": 1}, {"ncpus": 1}]}, {"ncpus": 1}, iterations=2)[1] == {"htc-1": 1, "htc-2": 1}


def test_a10_amount_zero_asks_that_the_resource_exists() -> None:
    assert holds({"ngpus": 0})
    assert not holds({"fpga": 0})
    assert holds({"tag": 0}, arrays=[array(resources={"tag": "x"})])


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ({"project": "open"}, True), ({"project": "op*"}, True), ({"project": "OPEN"}, False),
        ({"project": "closed"}, False),
        ({"flag": True}, True), ({"flag": False}, False), ({"nothing": None}, True), ({"project": None}, False),
        ({"project": ["x", "open"]}, True), ({"project": ["x", "o?en"]}, True), ({"project": []}, False),
        ({"rack": [1, 2]}, True), ({"rack": [3]}, False), ({"rack": [True]}, False), ({"weird": "a[1]"}, True),
    ],
)  # fmt: skip
def test_c3_values_and_lists_compare_with_wildcards(constraint: dict[str, Any], expected: bool) -> None:
    own = {"project": "open", "flag": True, "rack": 1, "weird": "a[1]"}
    assert holds(constraint, arrays=[array(resources=own)]) is expected


def test_v2_true_is_never_one() -> None:
    assert not holds({"flag": 1}, arrays=[array(resources={"flag": True})])
    assert not holds({"one": True}, arrays=[array(resources={"one": 1})])


def test_v5_a_number_asked_of_a_string_is_not_satisfied_with_a_reason() -> None:
    _, _, answer = placed({"project": 1}, arrays=[array(resources={"project": "open"})])
    reason = outcome(answer, "a")["reason"]
    assert reason["code"] == "NO_BUCKET_MATCH"
    assert reason["buckets"][0] | {"criterion": "project", "wanted": 1, "offered": "open"} == reason["buckets"][0]


def test_a_resource_list_takes_nothing() -> None:
    assert placed({"ncpus": [4, 2]}, iterations=50)[1] == {"htc-1": 50}


PROPERTIES: list[tuple[str, Any]] = [
    ("arch", "x64"), ("bucket_id", "htc/Standard_F4"), ("colocated", False), ("cores_per_socket", 2),
    ("create_time", None),
    ("create_time_remaining", None), ("create_time_unix", None), ("delete_time", None), ("delete_time_unix", None),
    ("exists", False), ("gpu_count", 0), ("gpu_model", None), ("hostname", None), ("hostname_or_uuid", None),
    ("infiniband", False), ("instance_id", None), ("keep_alive", False), ("last_match_time", None),
    ("last_match_time_unix", None), ("location", "westus2"), ("memory", "memory::8g"), ("memory", 8 * 1024**3),
    ("name", None),
    ("nodearray", "htc"), ("pcpu_count", 4), ("placement_group", None), ("price", 0.192), ("priority", 1),
    ("private_ip", None), ("spot", False), ("state", None), ("vcpu_count", 4), ("version", None),
    ("vm_family", "standardFFamily"), ("vm_size", "Standard_F4"), ("vm_size", "Standard_[FD]*"), ("zone", None),
    ("vm_capabilities.Disk", "Premium"), ("software_configuration.slurm.role", "exec"), ("resources.ncpus", 4),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), PROPERTIES)
def test_every_property_of_section_3_can_be_asked_of_a_new_node(name: str, value: Any) -> None:
    bucket = f4(
        vm_family="standardFFamily", price=0.192, cores_per_socket=2, arch="x64", vm_capabilities={"Disk": "Premium"}
    )
    arrays = [array("htc", bucket, software_configuration={"slurm": {"role": "exec"}})]
    assert holds({"ncpus": 1, f"node.{name}": value}, arrays=arrays)
    assert not holds({"ncpus": 1, f"node.{name}": "something else"}, arrays=arrays)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hostname", "ip-1"), ("name", "htc-1"), ("state", "Ready"), ("exists", True), ("instance_id", "vm-1"),
     ("private_ip", "10.0.0.1"), ("keep_alive", True), ("hostname_or_uuid", "ip-1"), ("zone", "2"), ("create_time",
                                                                                                     1000)],
)  # fmt: skip
def test_p4_live_properties_are_judged_node_by_node(name: str, value: Any) -> None:
    live = node(hostname="ip-1", instance_id="vm-1", private_ip="10.0.0.1", keep_alive=True, zone="2", create_time=1000)
    assert placed({"ncpus": 1, f"node.{name}": value}, nodes=[node("htc-9"), live])[1] == {"htc-1": 1}


def test_p4_a_resource_only_the_joined_node_reports() -> None:
    assert placed({"rack": "r7"}, nodes=[node("htc-2"), node(resources={"rack": "r7"})])[1] == {"htc-1": 1}


def test_and_takes_of_all_and_an_empty_and_holds() -> None:
    assert holds({"and": []})
    assert not holds({"and": [{"ncpus": 1}, {"node.spot": True}]})


def test_c2_or_counts_as_its_first_alternative_that_fits_with_all_else() -> None:
    either = {"or": [{"ncpus": 3}, {"ncpus": 1}]}
    assert placed(either, iterations=2)[1] == {"htc-1": 2}
    assert placed(either, {"ncpus": 2}, iterations=2)[1] == {"htc-1": 1, "htc-2": 1}


def test_c2_of_several_ors_the_first_combination_in_document_order() -> None:
    both = [{"or": [{"ncpus": 4}, {"ncpus": 1}]}, {"or": [{"ncpus": 1}, {"mem": "memory::1g"}]}]
    _, where, answer = placed(*both)
    assert where == {"htc-1": 1}
    assert left_on(answer, "htc-1")["ncpus"] == 0
    assert left_on(answer, "htc-1")["mem"] == "size::7g"


def test_a10_an_empty_or_does_not_hold_and_or_with_one_child_is_it() -> None:
    assert not holds({"or": []})
    assert holds({"or": [{"ncpus": 4}]})


def test_xor_holds_when_exactly_one_does() -> None:
    yes, no = {"node.vm_size": "Standard_F4"}, {"node.vm_size": "X"}
    assert holds({"xor": [yes, no]})
    assert not holds({"xor": [yes, yes]})
    assert not holds({"xor": [no, no]})
    assert not holds({"xor": []})
    assert not holds({"xor": [yes, yes, yes]})


def test_xor_takes_what_its_one_takes() -> None:
    assert placed({"xor": [{"ncpus": 2}, {"node.spot": True}]}, iterations=3)[1] == {"htc-1": 2, "htc-2": 1}


def test_c2_not_is_judged_on_the_node_as_it_is_and_takes_nothing() -> None:
    """On an empty F4 four CPUs are left, so `not ncpus 4` fails there; it holds where two are in use."""
    raw = scenario(job("a", {"ncpus": 2}), job("b", {"not": {"ncpus": 4}}, {"ncpus": 1}), nodes=[node()])
    answer = solve(raw)
    assert check(raw, answer) == []
    assert places(answer, "b") == {"htc-1": 1}


def test_c2_no_empty_node_holds_a_not_over_all_it_has() -> None:
    assert not holds({"not": {"ncpus": 4}}, {"ncpus": 1})
    assert holds({"not": {"ncpus": 5}}, {"ncpus": 1})


@pytest.mark.parametrize(
    "child",
    [{"foo": 1}, {"project": "x"}, {"never": "no"}, {"or": []}, {"node.gpu_count": 1}, {"rack": None, "ncpus": 9}],
)
def test_not_of_what_does_not_hold_holds(child: dict[str, Any]) -> None:
    assert holds({"not": child})
    assert not holds({"not": {"not": child}})


def test_never_never_holds_and_its_text_is_the_reason() -> None:
    _, _, answer = placed({"never": "licence expired"})
    assert "licence expired" in outcome(answer, "a")["reason"]["message"]


def test_exclusive_is_one_slot_a_node_and_lets_nobody_else_in() -> None:
    raw = scenario(job("a", {"ncpus": 1, "exclusive": True}, iterations=2), job("b", {"node.nodearray": "htc"}))
    answer = solve(raw)
    assert check(raw, answer) == []
    assert places(answer, "a") == {"htc-1": 1, "htc-2": 1}
    assert places(answer, "b") == {"htc-3": 1}


def test_exclusive_does_not_come_to_a_node_with_work() -> None:
    busy = [node("htc-1", job_ids=["r"]), node("htc-2", available={"ncpus": 3}), node("htc-3")]
    assert placed({"ncpus": 1, "exclusive": True}, nodes=busy)[1] == {"htc-3": 1}


@pytest.mark.parametrize("key", ["exclusive-task", "exclusive_task"])
def test_exclusive_task_shares_its_node_with_its_own_slots_only(key: str) -> None:
    raw = scenario(job("a", {"ncpus": 1, key: True}, iterations=6), job("b", {"ncpus": 1, key: True}), job("c"))
    answer = solve(raw)
    assert check(raw, answer) == []
    assert places(answer, "a") == {"htc-1": 4, "htc-2": 2}
    assert places(answer, "b") == {"htc-3": 1}
    assert places(answer, "c") == {"htc-4": 1}


def test_exclusive_task_of_an_array_is_one_task_a_node() -> None:
    raw = scenario(job("a", {"ncpus": 1, "exclusive-task": True}, iterations=2, count=3))
    answer = solve(raw)
    assert check(raw, answer) == []
    assert places(answer, "a") == {"htc-1": 2, "htc-2": 2, "htc-3": 2}


@pytest.mark.parametrize("key", ["exclusive", "exclusive-task"])
def test_c1_false_asks_for_no_exclusivity(key: str) -> None:
    assert placed({"ncpus": 1, key: False}, iterations=4, nodes=[node(available={"ncpus": 3})])[1] == {
        "htc-1": 3,
        "htc-2": 1,
    }


def test_in_a_placement_group() -> None:
    arrays = [array("htc", f4(placement_groups=["pg0"]))]
    for wanted, group in ((True, "pg0"), (False, None)):
        _, _, answer = placed({"in-a-placement-group": wanted}, arrays=arrays)
        assert answer["new_nodes"][0]["placement_group"] == group


@pytest.mark.parametrize(("age", "expected"), [(None, True), (301, True), (300, False), (10, False)])
def test_capacity_failure_backoff_needs_an_older_failure(age: Any, expected: bool) -> None:
    assert holds({"capacity-failure-backoff": 300}, arrays=[array("htc", f4(last_capacity_failure=age))]) is expected


LONG = {"resource-name": "lic", "source": "lic", "requested": 2, "initial-value": 5, "current-value": 5}


@pytest.mark.parametrize("constraint", [licence(2), {"shared-consumable-constraint": {"sources": ["lic"],
                                                                                      "requested": 2}},
                                        {"shared-consumable-constraint": LONG}])  # fmt: skip
def test_c5_shared_consumables_are_taken_once_a_slot(constraint: dict[str, Any]) -> None:
    status, where, answer = placed({"ncpus": 1}, constraint, iterations=4, shared_resources={"lic": {"initial": 5}})
    assert (status, where, answer["shared_resources"]) == ("partial", {"htc-1": 2}, {"lic": 1})


def test_c5_once_a_job_is_taken_once() -> None:
    raw = scenario(
        job("a", {"ncpus": 1}, licence(1, once=True), iterations=6, count=2), shared_resources={"lic": {"initial": 5}}
    )
    answer = solve(raw)
    assert check(raw, answer) == []
    assert (outcome(answer, "a")["slots"], answer["shared_resources"]) == (12, {"lic": 3})


def test_c5_every_source_is_taken_and_decimals_are_exact() -> None:
    pools = {"x": {"initial": 1}, "y": {"initial": 0.3}}
    status, _, answer = placed(licence(0.1, "x", "y"), iterations=4, shared_resources=pools)
    assert (status, outcome(answer, "a")["slots"], answer["shared_resources"]) == ("partial", 3, {"x": 0.7, "y": 0})


def test_c5_what_runs_already_has_been_taken() -> None:
    assert (
        placed(licence(1), iterations=3, shared_resources={"lic": {"initial": 9, "current": 1}})[2]["jobs"][0]["slots"]
        == 1
    )


def test_c5_two_needs_of_one_pool_add_up() -> None:
    status, _, answer = placed(
        {"ncpus": 1}, licence(0.5), licence(1), iterations=9, shared_resources={"lic": {"initial": 2}}
    )
    assert (status, outcome(answer, "a")["slots"], answer["shared_resources"]) == ("partial", 1, {"lic": 0.5})


def test_c5_a_slot_need_and_a_once_need_of_one_pool_add_up() -> None:
    needs = [{"ncpus": 1}, licence(1), licence(1, once=True)]
    status, _, answer = placed(*needs, iterations=3, shared_resources={"lic": {"initial": 2}})
    assert (status, outcome(answer, "a")["slots"], answer["shared_resources"]) == ("partial", 1, {"lic": 0})


@pytest.mark.parametrize(("wanted", "expected"), [("1.2.3", True), ("1.*", True), ("2.0", False)])
def test_shared_non_consumable_equals_the_current_value(wanted: str, expected: bool) -> None:
    pools = {"prodversion": {"value": "1.2.3"}}
    assert (
        holds({"shared-non-consumable": {"resource": "prodversion", "value": wanted}}, shared_resources=pools)
        is expected
    )


def test_a_shared_resource_nobody_declares_is_not_there() -> None:
    assert code(placed(licence(1))[2], "a") == "SHARED_RESOURCE"


def test_p2_list_and_or_preferences_choose_the_bucket() -> None:
    arrays = [array("htc", f4(), f2())]
    for wish in (
        {"node.vm_size": ["Standard_F2", "Standard_F4"]},
        {"or": [{"node.vm_size": "Standard_F2"}, {"ncpus": 1}]},
    ):
        assert sizes_of(placed({"ncpus": 1}, wish, arrays=arrays)[2], "a") == ["Standard_F2"]


def test_p2_the_score_is_of_the_first_alternative_that_fits_an_empty_node() -> None:
    arrays = [array("htc", f4(), f4(vm_size="Standard_D16", vcpu_count=16))]
    assert sizes_of(placed({"or": [{"ncpus": 16}, {"ncpus": 2}]}, arrays=arrays)[2], "a") == ["Standard_D16"]


def test_nested_xor_is_judged_in_reasonable_time() -> None:
    def nest(depth: int) -> dict[str, Any]:
        return {"node.vm_size": "Standard_F4"} if not depth else {"xor": [nest(depth - 1), nest(depth - 1)]}

    assert not holds(nest(8))
