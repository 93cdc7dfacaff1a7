"""The demand report as JSON: what is published as its schema is what comes out, for every golden scenario."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from report_scenes import Scene, full_scene

from autoscale_aks.model.plan import ReleaseCause
from autoscale_aks.model.reason import LimitKind, ReasonCode
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.changes import compare, render_changes
from autoscale_aks.reports.demand import render_demand
from autoscale_aks.reports.document import SCHEMA_FILE, SCHEMA_ID, demand_text
from autoscale_aks.reports.fleet import CellState

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
PUBLISHED = (ROOT / "docs" / "schemas" / SCHEMA_FILE).read_text(encoding="utf-8")
SCHEMA = json.loads(PUBLISHED)
Json = dict[str, Any]


def golden() -> dict[str, Json]:
    """Every golden scenario by name."""
    found = {}
    for line in (GOLDEN / "cases.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        found[case["id"]] = case["scenario"]
    for path in sorted((GOLDEN / "rich").glob("*.json")):
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))["scenario"]
    return found


SCENARIOS = golden()


def closed(schema: Any) -> Any:
    """The schema with every object that lists its properties allowing no others: what we write is all in it."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema["properties"], dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@cache
def validator() -> Draft202012Validator:
    return Draft202012Validator(closed(SCHEMA), format_checker=Draft202012Validator.FORMAT_CHECKER)


def complaints(document: Json) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator().iter_errors(document)]


def scene_of(raw: Json) -> Scene:
    snapshot, policy = decode_scenario(raw)
    return Scene(snapshot, policy, plan(snapshot, policy))


def document_of(scene: Scene) -> Json:
    return json.loads(demand_text(render_demand(scene.report(), scene.plan)))


def test_the_published_schema_is_the_packaged_one_and_is_a_schema() -> None:
    assert resources.files("autoscale_aks.reports").joinpath(SCHEMA_FILE).read_text(encoding="utf-8") == PUBLISHED
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == SCHEMA["properties"]["schema"]["const"] == SCHEMA_ID


def test_the_schemas_closed_lists_are_those_of_the_code() -> None:
    definitions, rows = SCHEMA["$defs"], SCHEMA["properties"]
    assert definitions["code"]["enum"] == [code.value for code in ReasonCode]
    assert definitions["limit_kind"]["enum"] == [kind.value for kind in LimitKind]
    causes = [cause.value for cause in ReleaseCause]
    assert rows["stops"]["items"]["properties"]["cause"]["enum"] == causes
    assert rows["releases"]["items"]["properties"]["cause"]["enum"] == causes
    states = rows["fleet"]["items"]["properties"]["states"]["propertyNames"]["enum"]
    assert states == [state.value for state in CellState]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_report_of_every_golden_scenario_is_of_the_schema(name: str) -> None:
    assert complaints(document_of(scene_of(SCENARIOS[name]))) == []


def test_a_report_with_something_of_everything_is_of_the_schema() -> None:
    document = document_of(full_scene())
    assert complaints(document) == []
    for table in ("starts", "stops", "waiting", "limits", "demand", "in_flight", "fleet", "actions"):
        assert document[table], table


def test_a_comparison_is_of_the_schema() -> None:
    before, now = document_of(scene_of(SCENARIOS["morning-queue"])), document_of(full_scene())
    assert complaints({**now, "changes": render_changes(compare(before, now))}) == []


def test_the_schema_refuses_what_is_no_report() -> None:
    document = document_of(full_scene())
    assert complaints({**document, "schema": "autoscale_aks/demand-report/2"})
    assert complaints({**document, "summary": {**document["summary"], "machines": -1}})
    assert complaints({key: value for key, value in document.items() if key != "waiting"})


def test_the_text_is_the_document_with_a_line_a_row() -> None:
    scene = full_scene()
    document = render_demand(scene.report(), scene.plan)
    text = demand_text(document)
    assert json.loads(text) == json.loads(json.dumps(document))
    assert len(text.splitlines()) > len(document["jobs"]) + len(document["new_nodes"])


def row_by_row(document: Json) -> str:
    """The same text from one call a row, the shared value last."""
    last = {"jobs": "reason", "new_nodes": "available"}
    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict | list):
            rows = []
            for row in value:
                ordered = dict(sorted(row.items(), key=lambda item: item[0] == last[key])) if key in last else row
                rows.append(f"    {json.dumps(ordered, ensure_ascii=False)}")
            parts.append(f"  {json.dumps(key)}: [\n" + ",\n".join(rows) + "\n  ]")
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(parts) + "\n}"


@pytest.mark.parametrize("jobs", [1, 999, 1000, 1001, 2500])
def test_rows_encoded_many_at_once_are_the_bytes_of_rows_encoded_one_by_one(jobs: int) -> None:
    names = ['}, "\\n", {', "\n", '}, "\n", {', "ü\u2028\x00", '"', "a"]
    scene = full_scene()
    document = render_demand(scene.report(), scene.plan)
    reasons = [{"code": name} for name in names]
    rows = [
        {"name": names[at % 6], "reason": reasons[at % 5], "nodes": [{"name": one} for one in names[: at % 4]]}
        for at in range(jobs)
    ]
    nodes = [{"job_ids": names[: at % 7], "available": reasons[at % 2], "group": None} for at in range(jobs)]
    expected = row_by_row({**document, "jobs": rows, "new_nodes": nodes})
    assert demand_text({**document, "jobs": rows, "new_nodes": nodes}) == expected
    assert demand_text({**document, "jobs": rows, "new_nodes": nodes}) == expected, "and it leaves the document whole"


@pytest.mark.parametrize("name", sorted(SCENARIOS)[::7])
def test_every_report_is_the_bytes_of_its_rows_one_by_one(name: str) -> None:
    scene = scene_of(SCENARIOS[name])
    document = render_demand(scene.report(), scene.plan)
    assert row_by_row(document) == demand_text(document)


def test_the_figures_of_the_summary_are_those_of_the_tables() -> None:
    document = document_of(full_scene())
    summary = document["summary"]
    assert summary["machines"] == sum(row["machines"] for row in document["starts"]) == len(document["new_nodes"])
    assert summary["puts"] == sum(row["puts"] for row in document["starts"]) == document["puts"]
    assert summary["stopping"] == sum(row["machines"] for row in document["stops"]) == len(document["releases"])
    assert summary["waiting_jobs"] == sum(row["jobs"] for row in document["waiting"])
    assert summary["waiting_slots"] == sum(row["slots"] for row in document["waiting"])
    assert summary["slots"] == summary["placed_slots"] + summary["waiting_slots"]
    assert summary["machines"] == sum(row["states"].get("would start", 0) for row in document["fleet"])
    assert summary["price_per_hour"] == pytest.approx(sum(row["price_per_hour"] for row in document["starts"]))
    assert document["would_change"] is True


def test_idle_and_protected_machines_have_their_price() -> None:
    summary = document_of(full_scene())["summary"]
    assert (summary["idle_nodes"], summary["idle_price_per_hour"]) == (5, pytest.approx(5 * 0.31))
    assert (summary["protected_nodes"], summary["protected_price_per_hour"]) == (1, pytest.approx(0.31))
    running = 48 * 0.23 + 6 * 0.31 + 3 * 3.67
    assert summary["running_price_per_hour"] == pytest.approx(running)


def test_one_unknown_price_makes_the_sum_unknown() -> None:
    raw = {**SCENARIOS["morning-queue"]}
    raw["nodearrays"] = [
        {**one, "buckets": [{**bucket, "price": None} for bucket in one["buckets"]]} for one in raw["nodearrays"]
    ]
    summary = document_of(scene_of(raw))["summary"]
    assert summary["price_per_hour"] is None
    assert summary["running_price_per_hour"] is None
    assert summary["idle_price_per_hour"] == 0


def test_machines_under_way_are_shown_by_stage_with_age_and_expectation() -> None:
    scene = full_scene()
    report = scene.report(boot_s={("htc", "Standard_D4s_v5"): 150.0})
    rising, leaving = report.flights
    assert (rising.stage, rising.machines, rising.oldest_s, rising.expected_s) == ("in-flight", 12, 95, 55)
    assert rising.given_up_s == 1800 - 95
    assert (leaving.stage, leaving.machines, leaving.expected_s, leaving.given_up_s) == ("draining", 1, None, None)
    assert scene.report(boot_s={("htc", "Standard_D4s_v5"): 60.0}).flights[0].expected_s == 0
    assert scene.report().flights[0].expected_s is None
