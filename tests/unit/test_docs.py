"""docs/calculations.md is true: its worked examples are planned, every rule is there, what it names exists."""

from __future__ import annotations

import ast
import importlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from builders import solve
from checker import check

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "calculations.md").read_text(encoding="utf-8")

RULES: Final = (
    *(f"V{number}" for number in range(1, 6)),
    *(f"D{number}" for number in range(1, 8)),
    *(f"C{number}" for number in range(1, 8)),
    *(f"P{number}" for number in range(1, 6)),
    *(f"A{number}" for number in range(11)),
    *(f"L{number}" for number in range(1, 5)),
    "INVALID", "NOT_RUNNABLE", "SATISFIED", "WAITING_FOR_BOOT", "AUTH", "API_THROTTLED", "TOO_BIG_FOR_ANY_NODE",
    "PLACEMENT_GROUP_TOO_SMALL", "NO_BUCKET_MATCH", "SHARED_RESOURCE", "CAPACITY_BACKOFF", "BOOT_CIRCUIT_OPEN",
    "LOST_TO_PRIORITY", "QUOTA", "LIMIT",
    *(f"B{number}" for number in range(1, 7)),
)  # fmt: skip
"""Every rule of the contracts on matching and batching."""
PLACING: Final = ("A2", "A3", "A4", "A5", "A6", "scatter", "pack gang", "L1", "L2", "L3", "P2", "B3")
"""Rules of which the document must work an example."""

Json = dict[str, Any]
Table = list[dict[str, str]]


def tables_in(text: str) -> list[Table]:
    """The Markdown tables of a text, each a list of rows by column name."""
    found: list[Table] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()]
        found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


def worked_examples() -> dict[str, tuple[Json, list[Table]]]:
    """Name → scenario and expected tables, from every `### NAME: …` section with a JSON block."""
    found: dict[str, tuple[Json, list[Table]]] = {}
    for section in re.split(r"^##", DOCUMENT, flags=re.MULTILINE):
        match = re.match(r"# ([^:\n]+):.*?```json\n(.*?)```\n(.*)", section, re.DOTALL)
        if match:
            found[match.group(1)] = (json.loads(match.group(2)), tables_in(match.group(3)))
    return found


WORKED = worked_examples()
RULE_ROWS = [row for table in tables_in(DOCUMENT) for row in table if "rule" in row]


def shown(answer: Json, columns: set[str]) -> Table:
    """The answer as a table with these columns; the first of them says of what."""
    if "job" in columns:
        rows = [_job_row(job) for job in answer["jobs"]]
    elif "wave" in columns:
        rows = [
            {"wave": f"{wave['nodearray']}/{wave['vm_size']}", "workers": str(wave["workers"]),
             "machines a PUT": str(wave["per_worker"])}
            for wave in answer["waves"]
        ]  # fmt: skip
    elif "bucket" in columns:
        rows = [_bucket_row(bucket) for bucket in answer["buckets"]]
    else:
        rows = [
            {"new node": node["name"], "VM size": node["vm_size"], "placement group": node["placement_group"] or "–"}
            for node in answer["new_nodes"]
        ]
    return [{name: row[name] for name in columns} for row in rows]


def _job_row(job: Json) -> dict[str, str]:
    limit = job["reason"].get("limit")
    return {
        "job": job["name"],
        "status": job["status"],
        "slots": f"{job['slots']} of {job['requested']}",
        "nodes": ", ".join(f"{node['name']}: {node['slots']}" for node in job["nodes"]) or "–",
        "reason": job["reason"]["code"],
        "limit": f"{limit['kind']} {limit['name']}" if limit else "–",
        "missing": str(limit["missing"]) if limit else "–",
    }


def _bucket_row(bucket: Json) -> dict[str, str]:
    def bound(count: int | None) -> str:
        return "any" if count is None else str(count)

    group = f"/{bucket['placement_group']}" if bucket["placement_group"] else ""
    return {
        "bucket": f"{bucket['nodearray']}/{bucket['vm_size']}{group}",
        "allowed before": bound(bucket["available_before"]),
        "new nodes": str(bucket["new_nodes"]),
        "allowed after": bound(bucket["available_after"]),
        "binding limit": bucket["binding_limit"] or "–",
    }


@pytest.mark.parametrize("name", WORKED)
def test_a_worked_example_has_the_expected_tables(name: str) -> None:
    scenario, tables = WORKED[name]
    answer = solve(scenario)
    assert tables, "a worked example shows what is expected"
    for table in tables:
        columns = list(table[0])
        assert table == [{column: row[column] for column in columns} for row in shown(answer, set(columns))]
    assert check(scenario, answer) == []


def test_every_placing_rule_has_a_worked_example() -> None:
    assert set(PLACING) <= set(WORKED)


def test_every_rule_of_the_contracts_has_exactly_one_line() -> None:
    assert sorted(row["rule"] for row in RULE_ROWS) == sorted(RULES)
    assert all(row["what it says"] and row["code"] and row["test"] for row in RULE_ROWS)


def _names(column: str) -> list[tuple[str, str]]:
    return [(row["rule"], name) for row in RULE_ROWS for name in re.findall(r"`([^`]+)`", row[column])]


@pytest.mark.parametrize(("rule", "name"), _names("code"), ids=[f"{rule}-{name}" for rule, name in _names("code")])
def test_the_code_that_a_line_names_exists(rule: str, name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        path = ".".join(["autoscale_aks", *parts[:cut]])
        try:
            found: Any = importlib.import_module(path)
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute)
        return
    pytest.fail(f"{rule}: there is no {name}")


@pytest.mark.parametrize(("rule", "test"), _names("test"), ids=[f"{rule}-{test}" for rule, test in _names("test")])
def test_the_test_that_a_line_names_exists(rule: str, test: str) -> None:
    match = re.fullmatch(r"(tests/[\w/]+\.py)::(\w+)(?:\[(.+)\])?", test)
    assert match, f"{rule}: {test} is no pytest node id"
    path, function, case = match.groups()
    assert function in _functions(path), f"{rule}: {path} has no {function}"
    if case is not None:
        assert case in _cases(path), f"{rule}: {function} has no case {case}"


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@cache
def _cases(path: str) -> frozenset[str]:
    """Ids of parametrised tests that are read from files: golden cases, and this document's examples."""
    if path == "tests/golden/test_golden_cases.py":
        lines = (ROOT / "tests" / "golden" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
        return frozenset(json.loads(line)["id"] for line in lines)
    return frozenset(WORKED)


def test_nothing_in_the_documents_names_a_place_on_somebodys_machine() -> None:
    for name in ("calculations.md", "api.md"):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert not re.search(r"/(home|work|tmp|root)/|localhost|127\.0\.0\.1", text), name
