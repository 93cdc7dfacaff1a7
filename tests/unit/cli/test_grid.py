"""Tables of text: where lines are broken."""

from __future__ import annotations

import pytest

from autoscale_aks.cli.grid import lay_out
from autoscale_aks.cli.limits import LISTING

HEADER = [column.title or column.name for column in LISTING.columns if column.is_default]
NUMBERS = frozenset(index for index, column in enumerate(LISTING.columns) if column.is_number)
FULL = "100,000"


def limits_of(family: str, width: int = 80) -> list[list[str]]:
    """The columns of the table of limits, as the pieces of each cell below its heading."""
    source = LISTING.column("source").shown("configuration")
    row = ["family quota", family, FULL, FULL, "99,999", FULL, "cores", source]
    header, *lines = lay_out([""] * len(HEADER), [row], NUMBERS, width)
    assert header == ""
    assert max(map(len, lines)) <= width
    return [line.split() for line in lines]


@pytest.mark.parametrize(
    "family",
    [
        "standardDSv5Family in westus2",
        "standardHBrsv2Family in germanywestcentral",
    ],
)
def test_the_name_of_a_family_stays_whole_on_eighty_columns(family: str) -> None:
    words = [word for line in limits_of(family) for word in line]
    assert {*family.split(), FULL, "config"} <= set(words)


def test_a_word_too_long_for_its_line_is_broken_at_its_seams() -> None:
    (_, *lines) = lay_out(["a", "b"], [["standardNVADSA10v5Family", "x" * 30]], frozenset(), 50)
    assert [line.split()[0] for line in lines] == ["standardNVADSA10v5", "Family"]
    (_, *lines) = lay_out(["a", "b"], [["site-htc-0017/Standard_D4s_v5", "x" * 30]], frozenset(), 50)
    assert [line.split()[0] for line in lines] == ["site-htc-0017/", "Standard_D4s_v5"]


def test_a_number_is_not_broken_while_a_text_can_be() -> None:
    (_, *lines) = lay_out(["a", "b"], [["x" * 40, "100,000,000"]], frozenset({1}), 24)
    assert lines[0].endswith(" 100,000,000")
    assert "".join(line.split()[0] for line in lines) == "x" * 40


def test_a_heading_of_two_words_is_broken_between_them() -> None:
    lines = list(lay_out(["in flight", "b"], [["1", "y" * 20]], frozenset({0}), 30))
    assert lines[0].split() == ["in", "b"]
    assert lines[1].split() == ["flight"]


def test_a_time_stays_together_where_a_text_can_give_way() -> None:
    moment = "2026-11-22\u00a020:46:29"
    (_, first, *_) = lay_out(["time", "detail"], [[moment, "aks-htc-az1-htc-1-88573138-vmss000000"]], frozenset(), 40)
    assert first.startswith(f"{moment}  aks-htc-")
