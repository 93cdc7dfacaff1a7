"""How far from the least price a plan is said to be (user ask T27)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from io import StringIO

import pytest
from builders import array, f4, job, scenario
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from autoscale_aks.cli.cost_report import print_cost
from autoscale_aks.model.plan import Certificate, Plan
from autoscale_aks.model.policy import Policy
from autoscale_aks.planning.planner import plan
from autoscale_aks.planning.scenario import decode_scenario
from autoscale_aks.reports.cost import certificate_text, share_text


def plan_with_gap(gap: Fraction) -> Plan:
    found = plan(*decode_scenario(scenario(job("a", {"ncpus": 4}), arrays=[array("htc", f4(price=0.2))])))
    return replace(found, certificate=Certificate(cost=100 * (1 + gap), bound=Fraction(100), kept=Fraction(0)))


def explained(found: Plan) -> str:
    out = Console(file=StringIO(), width=200)
    print_cost(found, Policy(), out)
    return out.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        ("0.000002", "0.001 %"),
        ("0.00001", "0.001 %"),
        ("0.0000101", "0.002 %"),
        ("0.25", "25.000 %"),
        ("20", "2,000.000 %"),
    ],
)
def test_the_sentence_and_the_table_say_the_same_share(gap: str, said: str) -> None:
    found = plan_with_gap(Fraction(gap))
    assert found.certificate is not None
    assert f"at most {said} more" in certificate_text(found.certificate)
    line = next(line for line in explained(found).splitlines() if "this plan" in line)
    assert said in line


def test_what_is_proved_to_be_the_least_is_no_share_dearer() -> None:
    found = plan_with_gap(Fraction(1, 10**7))
    assert found.certificate is not None
    assert "which is the least it can be" in certificate_text(found.certificate)
    line = next(line for line in explained(found).splitlines() if "this plan" in line)
    assert " 0.000 %" in line


@given(st.fractions(Fraction(2, 10**6), 100))
def test_a_share_is_never_said_to_be_smaller_than_it_is(share: Fraction) -> None:
    said = Fraction(share_text(share).removesuffix(" %").replace(",", "")) / 100
    assert share <= said < share + Fraction(1, 100_000)
