"""docs/configuration.md is the schema in words: nothing is missing, nothing is old."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale_aks.config import schema_text
from autoscale_aks.config.reference import render_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that the schema knows, wherever it stands, with what it says."""
    if isinstance(node, dict):
        for name, inner in (node["properties"] if isinstance(node.get("properties"), dict) else {}).items():
            yield name, inner
        for inner in node.values():
            yield from properties(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from properties(inner)


def test_the_page_is_what_the_schema_says_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_reference(), "make reference"


def test_every_key_of_the_schema_has_a_line_with_its_meaning() -> None:
    lines = dict(re.findall(r"^\| `([^`]+)` \|.*\| (.+) \|$", render_reference(), re.MULTILINE))
    known = dict(properties(json.loads(schema_text())))
    known.pop("default", None)  # in idle_timeout and its like, where the line above says it
    assert sorted(set(known) - set(lines)) == []
    assert all(lines[name].strip() for name in known)


def test_every_table_is_well_formed() -> None:
    tables = re.findall(r"(?:^\|.*\|\n)+", render_reference(), re.MULTILINE)
    assert len(tables) > 10
    for table in tables:
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()} == {5}
