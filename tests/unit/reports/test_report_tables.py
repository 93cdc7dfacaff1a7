"""The report's tables as Markdown and CSV."""

from __future__ import annotations

import csv
import io

from report_scenes import full_scene

from autoscale_aks.reports.demand import render_demand
from autoscale_aks.reports.tables import TABLES, ReportTable, csv_text, markdown_text, report_tables

SCENE = full_scene()
DOCUMENT = render_demand(SCENE.report(), SCENE.plan)


def test_every_table_of_the_document_has_its_columns_there() -> None:
    for name, (_, columns) in TABLES.items():
        for row in DOCUMENT[name]:
            assert set(columns) <= set(row), name


def test_csv_reads_back_as_the_rows() -> None:
    for table in report_tables(DOCUMENT):
        rows = list(csv.DictReader(io.StringIO(csv_text(table))))
        assert len(rows) == len(table.rows)
        if table.name == "starts":
            assert [int(row["machines"]) for row in rows] == [row["machines"] for row in table.rows]


def test_no_text_of_a_csv_is_a_formula_for_a_spreadsheet() -> None:
    table = ReportTable("waiting", "Waiting", ("message", "jobs"), ({"message": "=cmd|' /C calc'!A0", "jobs": -1},))
    assert csv_text(table).splitlines()[1] == "'=cmd|' /C calc'!A0,-1"


def test_markdown_has_a_heading_for_each_table_with_rows_and_escapes_what_would_be_markup() -> None:
    text = markdown_text(report_tables(DOCUMENT), "One sentence.")
    assert text.startswith("# Demand report\n\nOne sentence.\n")
    assert [title for _, (title, _) in TABLES.items() if f"## {title}\n" in text] == [
        title for name, (title, _) in TABLES.items() if DOCUMENT[name]
    ]
    assert "<script" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    rows = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {
        len(columns) + 1 for name, (_, columns) in TABLES.items() if DOCUMENT[name]
    }
