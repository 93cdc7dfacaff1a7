"""JSON → constraint and back: paths of errors, bounds, write-back, site-registered kinds (matching.md C4, C6, C7)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from builders import code, job, outcome, places, scenario, solve, solve_text

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.parse import parse_constraint, parse_constraints
from autoscale_aks.matching.resources import parse_default_resources
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario, parse_json
from autoscale_aks.reports.answer import render_answer

if TYPE_CHECKING:
    from autoscale_aks.matching.profile import Profile


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        ({"ncpus": -4}, "c.ncpus", "-4 is negative"),
        ({"ncpus": {"min": 4}}, "c.ncpus", "not an object"),
        ({"mem": "memory::4x"}, "c.mem", "memory::4x"),
        ({"mem": "memory::-4g"}, "c.mem", "memory::-4g"),
        ({"mem": "memory::"}, "c.mem", "memory::"),
        ({"or": {"ncpus": 1}}, "c.or", "expected a list"),
        ({"or": [{"ncpus": 1}, 3]}, "c.or[1]", "expected a constraint object"),
        ({"and": [{"or": [{}, {"not": [1]}]}]}, "c.and[0].or[1].not", "found a list"),
        ({"xor": None}, "c.xor", "found null"),
        ({"not": "x"}, "c.not", "found a string"),
        ({"exclusive": 1}, "c.exclusive", "true or false"),
        ({"exclusive-task": "yes"}, "c.exclusive-task", "true or false"),
        ({"in-a-placement-group": None}, "c.in-a-placement-group", "true or false"),
        ({"never": 3}, "c.never", "expected a text"),
        ({"capacity-failure-backoff": "soon"}, "c.capacity-failure-backoff", "expected a number"),
        ({"capacity-failure-backoff": -1}, "c.capacity-failure-backoff", "negative"),
        ({"os": ["el8", ["el9"]]}, "c.os[1]", "expected a number, string, boolean or null"),
        ({"node.vm_siz": "x"}, "c.node.vm_siz", 'did you mean "node.vm_size"?'),
        ({"node.resources.": 1}, "c.node.resources.", "is not a node property"),
        ({"node.vm_size": {"a": 1}}, "c.node.vm_size", "expected a number, string"),
        ({"": 1}, "c", "blank"),
        ({"shared-consumable": 1}, "c.shared-consumable", "expected an object"),
        ({"shared-consumable": {"resources": []}}, "c.shared-consumable", '"resources"'),
        ({"shared-consumable": {"resources": ["x"]}}, "c.shared-consumable", '"amount"'),
        ({"shared-consumable": {"resources": ["x"], "amount": -1}}, "c.shared-consumable.amount", "negative"),
        ({"shared-consumable": {"resources": ["x"], "amount": 1, "often": 1}}, "c.shared-consumable.often",
         "unknown key"),
        ({"shared-non-consumable": {"value": 1}}, "c.shared-non-consumable", '"resource"'),
        ({"shared-non-consumable": {"resource": "x"}}, "c.shared-non-consumable", '"value"'),
    ],
)  # fmt: skip
def test_c7_an_error_has_the_path_to_the_key_and_says_what_was_expected(raw: Any, path: str, words: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        parse_constraint(raw, "c")
    assert caught.value.problems[0].path.rstrip(".") == path.rstrip(".")
    assert words in caught.value.problems[0].message


@pytest.mark.parametrize("raw", [None, 3, "x", [[]], [None], ["x"]])
def test_c7_constraints_that_are_no_objects(raw: Any) -> None:
    with pytest.raises(ConstraintError, match="expected a"):
        parse_constraints(raw, "jobs[0].constraints")


def test_c7_one_bad_job_never_stops_the_others_and_each_has_its_own_path() -> None:
    bad = {"ncpus": -4}
    answer = solve(scenario(job("a", bad), job("b"), job("c", bad), job("d", {"or": [{}, {"node.x": 1}]})))
    assert [entry["status"] for entry in answer["jobs"]] == ["invalid", "success", "invalid", "invalid"]
    paths = [error["path"] for error in answer["errors"]]
    assert paths == [
        "jobs[0].constraints[0].ncpus",
        "jobs[2].constraints[0].ncpus",
        "jobs[3].constraints[0].or[1].node.x",
    ]
    assert code(answer, "a") == "INVALID"
    assert "jobs[0].constraints[0].ncpus" in outcome(answer, "a")["reason"]["message"]


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ({"ncpus": {"exact": "1/10"}}, {"ncpus": 0.1}),
        ({"ncpus": {"bytes": "1"}}, {"ncpus": 1}),
        ({"x": {"unreadable": "x"}}, {"ncpus": 1}),
    ],
)
def test_c7_an_unreadable_value_is_never_taken_for_a_readable_one(bad: Any, good: Any) -> None:
    answer = solve(scenario(job("a", bad), job("b", good)))
    assert [entry["status"] for entry in answer["jobs"]] == ["invalid", "success"]


def test_numbers_and_texts_that_look_alike_are_different_needs() -> None:
    answer = solve(
        scenario(job("a", {"ncpus": 0.1}), job("b", {"ncpus": "Decimal('0.1')"}), job("c", {"ncpus": "0.1"}))
    )
    assert [entry["status"] for entry in answer["jobs"]] == ["success", "failed", "failed"]


def test_c7_nesting_and_breadth_are_bounded() -> None:
    deep: Any = {"ncpus": 1}
    for _ in range(40):
        deep = {"not": deep}
    wide = {"or": [{"ncpus": 1}] * 5000}
    many = {"and": [{"or": [{"ncpus": 1}, {"ncpus": 2}]}] * 20}
    answer = solve(scenario(job("deep", deep), job("wide", wide), job("many", many), job("b")))
    assert [entry["status"] for entry in answer["jobs"]] == ["invalid", "invalid", "invalid", "success"]
    for entry in answer["jobs"][:3]:
        assert entry["reason"]["message"].startswith("jobs[")


def test_an_absurd_depth_is_an_error_not_a_crash() -> None:
    for depth in (200, 900, 5000, 100_000):
        text = '{"nodearrays":[],"jobs":[{"name":"a","constraints":[' + '{"not":' * depth + "{}" + "}" * depth + "]}]}"
        answer = solve_text(text)
        assert not answer["ok"] or answer["jobs"][0]["status"] == "invalid"


WRITTEN = [
    {"ncpus": 4}, {"ncpus": 0.1}, {"mem": "memory::1.5g"}, {"mem": "size::1b"}, {"project": "open"}, {"flag": True},
    {"x": None},
    {"os": ["el8", "el9", 3, None, True]}, {"node.vm_size": ["A", "B*"]}, {"node.vm_size": "A"},
    {"node.memory": "memory::16g"},
    {"and": []}, {"or": [{}, {"ncpus": 1}]}, {"xor": [{"a": 1, "b": "x"}, {"not": {"c": []}}]}, {"never": "why"},
    {"exclusive": True}, {"exclusive": False}, {"exclusive-task": True}, {"exclusive_task": False},
    {"in-a-placement-group": True}, {"capacity-failure-backoff": 300},
    {"shared-consumable": {"resources": ["x", "y"], "amount": 0.5, "decrement_once": True}},
    {"shared-consumable-constraint": {"resource-name": "x", "requested": 2}},
    {"shared-non-consumable": {"resource": "v", "value": "1.2"}}, {"a": 1, "b": 2, "and": [{"c": 3}]}, {},
    {"not": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("raw", WRITTEN, ids=[json.dumps(raw) for raw in WRITTEN])
def test_c4_what_is_written_back_parses_to_an_equal_constraint(raw: Any) -> None:
    parsed = parse_constraint(raw)
    assert parse_constraint(parsed.to_json()) == parsed


def test_the_order_of_keys_means_nothing() -> None:
    assert parse_constraint({"a": 1, "b": 2}) == parse_constraint({"b": 2, "a": 1})


@dataclass(frozen=True)
class Minimum:
    """A site's own kind: at least that many vCPUs, whatever is left of them."""

    vcpus: int
    kind: str = "site-vcpus"

    def holds_on(self, profile: Profile) -> bool:
        return bool(profile.property("vcpu_count") >= self.vcpus)

    def to_json(self) -> Any:
        return {self.kind: self.vcpus}


def test_c6_a_site_can_register_its_own_kind() -> None:
    kinds = {"site-vcpus": lambda raw, path: Minimum(raw)}
    for wanted, expected in ((4, "success"), (5, "failed")):
        raw = scenario(job("a", {"site-vcpus": wanted, "ncpus": 1}), job("b", {"not": {"site-vcpus": wanted}}))
        snapshot, policy = decode_scenario(parse_json(json.dumps(raw)))
        answer = render_answer(plan(snapshot, policy, kinds))
        assert outcome(answer, "a")["status"] == expected
        assert outcome(answer, "b")["status"] != expected
    assert "site-vcpus" in answer["jobs"][0]["reason"]["message"]
    assert parse_constraint({"site-vcpus": 3}, "", kinds).to_json() == {"site-vcpus": 3}


def test_c6_the_classes_have_the_names_of_the_json() -> None:
    names = {type(parse_constraint(raw)).__name__ for raw in WRITTEN}
    assert names >= {"MinResource", "ResourceValue", "ResourceList", "NodeProperty", "And", "Or", "Xor", "Not",
                     "Never", "Exclusive",
                     "ExclusiveTask", "InPlacementGroup", "CapacityFailureBackoff", "SharedConsumable",
                     "SharedNonConsumable"}  # fmt: skip


def test_all_problems_of_default_resources_come_at_once() -> None:
    rules = [3, {"nam": "x"}, {"name": "y", "value": "node.vcpu_cout"}, {"name": "z", "value": 1, "add": 1,
                                                                         "subtract": 2},
             {"name": "s", "value": "text", "add": 1}, {"name": "q", "value": 1, "divide": 0}, {"name": "q",
                                                                                                "value": 1, "add": "x"},
             {"name": "e", "value": "`node.vcpu_count *`"}, {"name": "k", "value": 1, "select": {"or": 1}}]  # fmt: skip
    with pytest.raises(ConstraintError) as caught:
        parse_default_resources(rules)
    paths = [problem.path for problem in caught.value.problems]
    assert {path.split(".")[0] for path in paths} == {f"default_resources[{number}]" for number in range(9)}
    assert "default_resources[8].select.or" in paths
    assert any('did you mean "node.vcpu_count"?' in problem.message for problem in caught.value.problems)


def test_a_constraint_may_be_one_object_instead_of_a_list() -> None:
    answer = solve(scenario({"name": "a", "constraints": {"ncpus": 2}, "iterations": 2}))
    assert places(answer, "a") == {"htc-1": 2}
