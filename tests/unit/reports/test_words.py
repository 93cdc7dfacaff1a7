"""Figures and names as people read them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from builders import array, f4, job, scenario, solve
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.reports.words import amount_text, counted, duration_text, price_text, printable


@pytest.mark.parametrize(
    ("amount", "is_size", "text"),
    [
        (1176, False, "1,176"),
        (Fraction(1176), False, "1,176"),
        (Fraction(1, 2), False, "0.5"),
        (0, True, "0 bytes"),
        (1536, True, "1.5 KiB"),
        (4 * 1024**4, True, "4 TiB"),
        (Fraction(1024**3 * 7, 2), True, "3.5 GiB"),
        (1024**7, True, "1,048,576 PiB"),
    ],
)
def test_amounts_are_in_peoples_units(amount: int | Fraction, is_size: bool, text: str) -> None:
    assert amount_text(amount, is_size=is_size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (3599, "59 min"), (3600, "1 h"), (12_000, "3 h 20 min"),
     (86_400, "24 h"), (187_200, "2 d 4 h"), (172_800, "2 d")],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_prices_and_counts() -> None:
    assert (price_text(None), price_text(Fraction(12345, 10))) == ("?", "1,234.50")
    assert (counted(1, "slot"), counted(2000, "slot")) == ("1 slot", "2,000 slots")


@given(st.text())
def test_nothing_that_is_printed_steers_a_terminal_or_turns_the_reading_direction(text: str) -> None:
    shown = printable(text)
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u2028\u2029")
    shown.encode("utf-8")


@pytest.mark.parametrize("name", ["a", "job-1[3]", "日本", "é", "👩‍🔬", "C:\\new"])
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert printable(name) == name


def test_a_sites_own_sizes_are_said_as_sizes_when_they_are_too_small() -> None:
    rules = [
        {"select": {}, "name": "ncpus", "value": "node.vcpu_count"},
        {"select": {}, "name": "scratch", "value": "size::100g"},
    ]
    raw = scenario(job("a", {"scratch": "size::250g"}), arrays=[array("htc", f4())], default_resources=rules)
    (entry,) = solve(raw)["jobs"]
    assert entry["reason"]["message"] == "asks scratch 250g, largest offers 100g (htc/Standard_F4)"
    assert entry["reason"]["buckets"][0]["offered"] == "size::100g"
