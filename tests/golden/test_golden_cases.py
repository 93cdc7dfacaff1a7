"""The contract's small cases (matching.md §10), each with its exact outcome: where such languages went wrong before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import solve
from checker import check

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text(encoding="utf-8").splitlines()]


def seen(answer: dict[str, Any]) -> dict[str, Any]:
    """The exact part of an answer."""
    return {
        "jobs": {
            entry["name"]: {
                "status": entry["status"],
                "slots": entry["slots"],
                "nodes": [[at["name"], at["slots"]] for at in entry["nodes"]],
                "code": entry["reason"]["code"],
            }
            for entry in answer["jobs"]
        },
        "new_nodes": [[node["name"], node["vm_size"], node["placement_group"]] for node in answer["new_nodes"]],
    }


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_contracts_case_has_exactly_this_outcome(case: dict[str, Any]) -> None:
    answer = solve(case["scenario"])
    assert answer["ok"], answer
    assert seen(answer) == case["exact"], case["expected"]
    assert check(case["scenario"], answer) == []


def test_not_consumable_decrements_leaves_three_of_four_cpus() -> None:
    case = next(case for case in CASES if case["id"] == "not-consumable-decrements")
    assert solve(case["scenario"])["new_nodes"][0]["available"]["ncpus"] == 3


RICH = sorted((Path(__file__).parent / "rich").glob("*.json"))


@pytest.mark.parametrize("path", RICH, ids=[path.stem for path in RICH])
def test_a_rich_scenario_has_exactly_this_outcome(path: Path) -> None:
    """Hand-made scenarios with every outcome derived by hand from the rules their `why` names."""
    case = json.loads(path.read_text(encoding="utf-8"))
    answer = solve(case["scenario"])
    assert answer["ok"], answer
    assert seen(answer) == case["exact"], case["why"]
    for key, expected in case.get("also", {}).items():
        assert answer[key] == expected, key
    assert check(case["scenario"], answer) == []
