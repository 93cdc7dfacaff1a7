"""What an explanation says agrees with the plan it explains, for any scenario."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hypothesis import assume, given

from autoscale_aks.errors import ScenarioError
from autoscale_aks.model.plan import JobStatus
from autoscale_aks.model.reason import ReasonCode
from autoscale_aks.planning.inspect import MANY, Inspector
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario, parse_json
from autoscale_aks.reports.buckets import list_buckets, render_buckets
from autoscale_aks.reports.explain import WhyNotCode, render_inspection, why_not

sys.path.append(str(Path(__file__).parents[2] / "property"))
from scenario_strategies import scenarios

NOWHERE = {ReasonCode.TOO_BIG_FOR_ANY_NODE, ReasonCode.NO_BUCKET_MATCH}


def inspector(raw: dict[str, Any]) -> Inspector | None:
    text = json.dumps(raw)
    # Filling a node without amounts, with a licence taken once inside `xor` or `not`, is too slow to be looked at here.
    assume('"decrement_once": true' not in text or not ('"xor"' in text or '"not"' in text))
    try:
        snapshot, policy = decode_scenario(parse_json(text))
    except ScenarioError:
        return None
    return Inspector(snapshot=snapshot, policy=policy, decided=plan(snapshot, policy))


@given(scenarios())
def test_every_job_and_every_size_has_an_explanation_that_is_json(raw: dict[str, Any]) -> None:
    looked = inspector(raw)
    if looked is None:
        return
    sizes = {outcome.bucket.vm_size for outcome in looked.decided.buckets} | {"none such"}
    for index in range(len(looked.decided.jobs)):
        found = looked.inspect(index)
        for size in sizes:
            answers = why_not(found, size)
            assert answers
            json.dumps(render_inspection(found, answers), allow_nan=False)
    json.dumps(render_buckets(list_buckets(looked.snapshot, looked.policy)), allow_nan=False)


@given(scenarios())
def test_verdicts_agree_with_the_plan(raw: dict[str, Any]) -> None:
    looked = inspector(raw)
    if looked is None:
        return
    for index in range(len(looked.decided.jobs)):
        found = looked.inspect(index)
        by_key = [{verdict.bucket.key: verdict for verdict in part.verdicts} for part in found.parts]
        for verdicts in by_key:
            ranks = [verdict.rank for verdict in verdicts.values() if verdict.rank]
            assert ranks == list(range(1, len(ranks) + 1))
            assert all((verdict.miss is None) == (verdict.slots_per_node > 0) for verdict in verdicts.values())
        if found.outcome.reason.code in NOWHERE and found.outcome.status is JobStatus.FAILED:
            assert any(all(verdict.miss for verdict in verdicts.values()) for verdicts in by_key)
        for landing in found.landings:
            if landing.is_new and landing.bucket is not None:
                here = [verdicts[landing.bucket.key] for verdicts in by_key if landing.bucket.key in verdicts]
                fitting = [verdict for verdict in here if verdict.miss is None]
                assert fitting
                most = sum(verdict.slots_per_node for verdict in fitting) * found.job.count
                assert most >= MANY or landing.slots <= most * len(landing.names)
                assert why_not(found, landing.bucket.id)[0].code is WhyNotCode.CHOSEN
