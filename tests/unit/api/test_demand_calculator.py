"""The programmatic API: what it builds is what a scenario file says, and what it refuses it names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import STANDARD, solve

import autoscale_aks.api
from autoscale_aks.api import (
    Chunk,
    ConstraintError,
    DemandCalculator,
    InputError,
    JobStatus,
    MinResource,
    Never,
    NodeProperty,
    PackingStrategy,
    Policy,
    ReasonCode,
    SharedConsumable,
    Size,
    WhyNotCode,
    build_job,
    build_kinds,
    build_licences,
    build_node,
    build_nodearray,
    build_offering,
    build_shared_value,
    parse_constraint,
    write_constraint,
)

F4 = build_offering("Standard_F4", vcpu_count=4, memory_gb=8, max_count=10)


def calculator(**extra: Any) -> DemandCalculator:
    return DemandCalculator(**{"nodearrays": [build_nodearray("htc", F4)], "default_resources": STANDARD, **extra})


def test_the_api_answers_what_the_scenario_file_answers() -> None:
    raw = {
        "default_resources": STANDARD,
        "nodearrays": [
            {
                "name": "htc",
                "spot": True,
                "resources": {"project": "open"},
                "buckets": [
                    {"vm_size": "Standard_F4", "vcpu_count": 4, "memory_gb": 8.5, "max_count": 3, "price": 0.1,
                     "placement_groups": ["pg0"]}
                ],
            }
        ],
        "existing_nodes": [
            {"name": "htc-1", "nodearray": "htc", "vm_size": "Standard_F4", "available": {"ncpus": 1}}
        ],
        "unmanaged_nodes": [{"name": "onprem-1", "resources": {"ncpus": 1}}],
        "shared_resources": {"lic": {"initial": 5, "current": 3}, "version": {"value": "1.2"}},
        "jobs": [
            {"name": "a", "constraints": [{"ncpus": 1}, {"shared-consumable": {"resources": ["lic"], "amount": 1}}],
             "iterations": 4},
            {"name": "b", "constraints": [{"ncpus": 4}], "node_count": 2, "colocated": True},
            {"name": "c", "chunks": [{"constraints": [{"ncpus": 9}]}]},
        ],
    }  # fmt: skip
    offering = build_offering(
        "Standard_F4", vcpu_count=4, memory_gb=8.5, max_count=3, price=0.1, placement_groups=["pg0"]
    )
    built = DemandCalculator(
        nodearrays=[build_nodearray("htc", offering, spot=True, resources={"project": "open"})],
        nodes=[
            build_node("htc-1", "htc", "Standard_F4", available={"ncpus": 1}),
            build_node("onprem-1", resources={"ncpus": 1}),
        ],
        default_resources=STANDARD,
        shared_resources={"lic": build_licences(5, current=3), "version": build_shared_value("1.2")},
    )
    built.add_jobs(
        [
            build_job("a", MinResource("ncpus", 1), SharedConsumable(("lic",), 1), iterations=4),
            build_job("b", {"ncpus": 4}, node_count=2, colocated=True),
            build_job("c", chunks=[{"constraints": [MinResource("ncpus", 9)]}]),
        ]
    )
    assert built.answer().to_json() == solve(raw)


def test_jobs_stay_and_planning_again_starts_afresh() -> None:
    site = calculator()
    site.add_job(build_job("a", {"ncpus": 4}))
    assert len(site.plan().claims) == 1
    site.add_job({"name": "b", "constraints": [{"ncpus": 4}]})
    assert site.plan() == site.plan()
    assert [claim.name for claim in site.plan().claims] == ["htc-1", "htc-2"]


def test_an_answer_names_nodes_with_and_without_work() -> None:
    site = calculator(
        nodes=[
            build_node("htc-2", "htc", "Standard_F4"),
            build_node("htc-3", "htc", "Standard_F4"),
            build_node("htc-4", "htc", "Standard_F4", state="Failed"),
        ]
    )
    site.add_job(build_job("a", {"ncpus": 3}))
    site.add_job(build_job("b", {"ncpus": 1}, iterations=2))
    answer = site.answer()
    assert (answer.matched, answer.unmatched) == (("htc-2", "htc-3"), ())
    assert answer.nodes_of("b") == {"htc-2": 1, "htc-3": 1}
    assert list(answer.new_nodes) == []
    assert answer.outcome("a").status is JobStatus.SUCCESS
    assert answer.reason("a").code is ReasonCode.SATISFIED
    assert answer.why_not("b", "Standard_F4")[0].code is WhyNotCode.CHOSEN


def test_an_unknown_job_is_a_key_error_with_the_nearest_name() -> None:
    site = calculator()
    site.add_job(build_job("solver", {"ncpus": 1}))
    with pytest.raises(KeyError, match='did you mean "solver"'):
        site.answer().reason("solvre")


def test_a_malformed_constraint_makes_its_job_invalid_and_stops_no_other() -> None:
    site = calculator()
    site.add_jobs([build_job("bad", {"ncpus": -1}), {"constraints": 7}, build_job("good", {"ncpus": 1})])
    answer = site.answer()
    codes = [outcome.reason.code.value for outcome in answer.plan.outcomes]
    assert codes == ["INVALID", "INVALID", "WAITING_FOR_BOOT"]
    assert answer.message("bad").startswith("job bad.constraints[0].ncpus: -1 is negative")
    with pytest.raises(ConstraintError, match="negative"):
        parse_constraint({"ncpus": -1})


@pytest.mark.parametrize(
    ("build", "wrong"),
    [
        (lambda: build_offering("F", vcpu_count=-1, memory_gb="x", hue=1), ["vcpu_count", "memory_gb", "hue"]),  # type: ignore[call-arg, arg-type]
        (lambda: build_offering("", vcpu_count=1, memory_gb=1), ["vm_size"]),
        (lambda: build_nodearray("a", F4, priority="high"), ["priority"]),  # type: ignore[arg-type]
        (lambda: build_nodearray("a", F4, F4), ["Standard_F4 twice"]),
        (lambda: build_node("n", "htc"), ["vm_size"]),
        (lambda: build_node("n", available={"ncpus": []}), ["ncpus"]),  # type: ignore[dict-item]
        (lambda: build_job("j", iterations=-1), ["iterations"]),
        (lambda: build_job("j", packing_strategy="loose"), ["packing_strategy"]),
        (lambda: build_licences(-1), ["initial"]),
        (lambda: build_licences("ten"), ["initial"]),  # type: ignore[arg-type]
        (lambda: build_shared_value([1]), ["value"]),  # type: ignore[arg-type]
        (lambda: calculator(nodearrays=[build_nodearray("a"), build_nodearray("a")]), ["nodearray a"]),
        (lambda: calculator(nodes=[build_node("n"), build_node("n")]), ["node n"]),
        (lambda: calculator(default_resources=[{"name": "x"}]), ["default_resources[0].value"]),
        (lambda: build_kinds({"and": Never, "exclusive": Never, "node.x": Never, " ": Never}), ["and", "exclusive"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_every_problem(build: Any, wrong: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build()
    for part in wrong:
        assert part in str(caught.value)


def test_floats_mean_the_decimal_that_they_print_as() -> None:
    tenth = build_offering("T", vcpu_count=4, memory_gb=8)
    site = calculator(nodearrays=[build_nodearray("htc", tenth)])
    site.add_job(build_job("a", {"ncpus": 0.1}, iterations=40))
    assert [claim.name for claim in site.plan().claims] == ["htc-1"]
    assert tenth.memory == Size(8 * 1024**3)


def test_constraints_may_be_values_or_json() -> None:
    value = NodeProperty("vm_size", ("Standard_F*",))
    assert parse_constraint(write_constraint(value)) == value
    assert write_constraint({"ncpus": 1}) == {"ncpus": 1}
    shape = build_job("a", value, packing_strategy="scatter", chunks=[{"iterations": 2}]).shape
    assert shape.constraints == ({"node.vm_size": ("Standard_F*",)},)
    assert (shape.packing_strategy, shape.chunks) == (PackingStrategy.SCATTER, (Chunk(iterations=2),))


class Anywhere:
    """A site's own kind."""

    kind = "anywhere"

    def holds_on(self, profile: object) -> bool:
        return profile is not None

    def to_json(self) -> dict[str, bool]:
        return {self.kind: True}


def test_a_sites_kind_is_judged_and_its_parsers_faults_are_the_jobs() -> None:
    def parse(raw: Any) -> Any:
        if raw == "nested":
            return parse_constraint({"ncpus": -1}, "inner")
        if raw is not True:
            raise ValueError("say true")
        return Anywhere()

    site = calculator(kinds=build_kinds({"anywhere": parse}))
    site.add_jobs(
        [
            build_job("yes", {"anywhere": True, "ncpus": 1}),
            build_job("no", {"not": {"anywhere": True}}),
            build_job("wrong", {"or": [{"anywhere": 1}]}),
            build_job("inner", {"anywhere": "nested"}),
        ]
    )
    answer = site.answer()
    assert answer.nodes_of("yes") == {"htc-1": 1}
    assert answer.reason("no").code is ReasonCode.NO_BUCKET_MATCH
    assert answer.message("wrong") == "job wrong.constraints[0].or[0].anywhere: say true"
    assert answer.reason("inner").code is ReasonCode.INVALID
    assert answer.explain("yes").parts[0].verdicts[0].slots_per_node == 4


def test_a_parser_that_returns_no_constraint_is_a_fault_of_the_program() -> None:
    site = calculator(kinds=build_kinds({"anywhere": lambda raw: raw}))
    site.add_job(build_job("a", {"anywhere": True}))
    with pytest.raises(TypeError, match="must return a constraint"):
        site.plan()


def test_public_names_are_sorted_and_described() -> None:
    names = autoscale_aks.api.__all__
    assert names == sorted(names)
    assert set(names) <= set(vars(autoscale_aks.api))
    for name in names:
        found = getattr(autoscale_aks.api, name)
        assert callable(found) is False or found.__doc__ or name == "Constraint", name


def test_the_api_reaches_no_scheduler_no_cloud_and_no_file() -> None:
    code = (
        "import sys, autoscale_aks.api; "
        "bad = [name for name in sys.modules if name.split('.')[0] in {'requests', 'sqlite3', 'azure', 'click'} "
        "or name.startswith(('autoscale_aks.cloud', 'autoscale_aks.ledger', 'autoscale_aks.schedulers'))]; "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    sources = (Path(autoscale_aks.api.__file__).parent).glob("*.py")
    imported = {
        alias.name
        for source in sources
        for statement in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(statement, ast.Import)
        for alias in statement.names
    }
    assert imported <= {"enum"}


def test_the_policy_is_the_calculators() -> None:
    site = calculator(policy=Policy(max_creates_per_cycle=1))
    site.add_job(build_job("a", {"ncpus": 4}, iterations=3))
    assert site.answer().reason("a").code is ReasonCode.LIMIT
