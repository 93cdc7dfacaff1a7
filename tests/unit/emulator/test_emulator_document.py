"""docs/emulator.md is true: every tick names tests that exist, every open point a switch with its real default."""

from __future__ import annotations

import ast
import dataclasses
import re
from functools import cache
from pathlib import Path

import pytest

from autoscale_aks.emulator.faults import KINDS
from autoscale_aks.emulator.settings import EmulatorSettings, QuotaSettings, ThrottleSettings

HERE = Path(__file__).parent
TEXT = (HERE.parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
OPEN_POINTS = ["1.1", "2.3", "2.4", "2.7", "3", "4.1", "4.3", "4.5", "5.1", "6.1", "6.2", "7.1", "7.2", "7.4", "7.5",
               "9.2", "9.3", "10.1", "10.3"]  # fmt: skip
"""Sections of the contract with a point of confidence M or L that shows on the wire."""


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = TEXT.split(f"## {heading}", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


CHECKLIST = rows("Checklist of the contract, §10")
POINTS = rows("Points the contract is not sure of")
NAMED = re.findall(r"`(test_\w+\.py)::(\w+)`", TEXT)


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)), ids=lambda text: text)
def test_a_test_that_the_document_names_exists(file: str, test: str) -> None:
    assert test in names_in(file)


def test_every_item_of_the_checklist_has_lines_and_every_line_a_test() -> None:
    assert [number for number in range(1, 15) if str(number) not in {row[0] for row in CHECKLIST}] == []
    assert [row for row in CHECKLIST + POINTS if not re.search(r"`test_\w+\.py::test_\w+`", row[-1])] == []


def test_every_open_point_has_a_line() -> None:
    named = {number for row in POINTS for number in row[0].split(", ")}
    assert [number for number in OPEN_POINTS if number not in named] == []


@pytest.mark.parametrize("row", POINTS, ids=[row[3] for row in POINTS])
def test_an_open_point_names_a_switch_and_its_default(row: list[str]) -> None:
    switch = re.findall(r"`(\w+)`", row[3])[-1]
    if row[3].startswith("fault"):
        assert (switch in KINDS, row[4]) == (True, "off")
        return
    defaults = {
        field.name: getattr(group(), field.name)
        for group in (QuotaSettings, ThrottleSettings, EmulatorSettings)
        for field in dataclasses.fields(group)
    }
    if switch == "timing":
        assert row[4] == f"`{type(defaults[switch]).__name__}()`"
    else:
        assert row[4] == f"`{defaults[switch]}`"
