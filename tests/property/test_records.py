"""A recorded decision is the same decision, wherever it is made again (house: serialisable, redacted, replayable)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import scenario
from hypothesis import given
from scenario_strategies import scenarios

from autoscale_aks.cli.replay import decide_record
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario, parse_json
from autoscale_aks.reports.answer import render_answer
from autoscale_aks.reports.record import Record, decode_record, digest_of, redacted, render_record

RICH = sorted((Path(__file__).parents[1] / "golden" / "rich").glob("*.json"))


def through_a_file(record: Record) -> Record:
    return decode_record(json.loads(json.dumps(render_record(record))), "file")


def same_after_a_file(raw: dict[str, Any]) -> None:
    snapshot, policy = decode_scenario(parse_json(json.dumps(raw)))
    record = Record(snapshot=snapshot, policy=policy)
    again = through_a_file(record)
    live, replayed = plan(snapshot, policy), plan(again.snapshot, again.policy)
    assert json.dumps(render_answer(replayed)) == json.dumps(render_answer(live))
    assert digest_of(replayed) == digest_of(live)
    assert render_record(again) == render_record(record)
    bare = redacted(record)
    assert digest_of(decide_record(bare)) == digest_of(decide_record(through_a_file(bare)))
    assert [one.slots for one in plan(bare.snapshot, policy).outcomes] == [one.slots for one in live.outcomes]


@given(scenarios())
def test_any_scenario_is_planned_from_its_record_to_the_byte(raw: dict[str, Any]) -> None:
    same_after_a_file(raw)


@pytest.mark.parametrize("path", RICH, ids=lambda path: path.stem)
def test_rich_scenarios_are_planned_from_their_record_to_the_byte(path: Path) -> None:
    raw = json.loads(path.read_text())
    same_after_a_file(raw.get("scenario", raw) if isinstance(raw, dict) else scenario())
