"""Accepted ranges (`accepted.json`) and the goals of `cases.py`: what a run is held against."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any, Final

from benchmarks.cases import CASES, Goal

ACCEPTED: Final = Path(__file__).with_name("accepted.json")

Row = dict[str, Any]

_MARGINS: Final = {
    "plan_s": 0.5,
    "out_s": 0.5,
    "read_s": 0.5,
    "rss_mb": 0.15,
    "new_nodes": 0.0,
    "price": 0.0,
    "placed": 0.0,
}
"""Margins that `--accept` writes for a case that has none yet: times on a shared machine vary, decisions never do."""


def judge(path: Path, rows: list[Row]) -> list[str]:
    """What is worse than accepted, what did not finish or broke a rule, and which goals are missed."""
    accepted = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else {}
    found: list[str] = []
    for row in rows:
        if "error" in row:
            found.append(f"{row['case']}: {row['error']}")
            continue
        if row["violations"]:
            found.append(f"{row['case']}: {row['violations']} violations, first: {row['audit'][0]}")
        found += [text for key, entry in accepted.get(row["case"], {}).items() if key in _MARGINS
                  for text in _judge_value(row, key, entry)]  # fmt: skip
    return found


def _judge_value(row: Row, key: str, entry: dict[str, float]) -> list[str]:
    value = row[key]
    if value is None:
        return []
    slack = entry["spread"] + entry["margin"] * entry["mean"]
    least, most = entry["mean"] - slack, entry["mean"] + slack
    worse = value < least if key == "placed" else value > most
    if not worse:
        return []
    return [f"{row['case']}: {key} {value:,.4f} is worse than accepted, {least:,.4f} to {most:,.4f}"]


def goals_of(rows: list[Row]) -> list[tuple[str, str, str, bool]]:
    """Case, goal, measured, met: for every goal of the cases that ran."""
    done = {row["case"]: row for row in rows if "error" not in row}
    found = []
    for name, row in done.items():
        goal = CASES[name].goal
        found += [(name, *part) for part in _parts(goal, row)]
        over = done.get(goal.over or "")
        if over is not None and goal.ratio is not None:
            ratio = row["plan_s"] / over["plan_s"]
            out = (row["plan_s"] + row["out_s"]) / (over["plan_s"] + over["out_s"])
            measured = f"{ratio:.2f} ×, written out {out:.2f} ×"
            found.append((name, f"≤ {goal.ratio:g} × {goal.over}", measured, ratio <= goal.ratio))
    return found


def _parts(goal: Goal, row: Row) -> list[tuple[str, str, bool]]:
    found = []
    for key, most, unit, what in (
        ("plan_s", goal.plan_s, 1000, "plan"),
        ("total_s", goal.total_s, 1000, "read + plan"),
    ):
        if most is not None:
            measured = f"{row[key] * unit:,.1f} ms, written out {(row[key] + row['out_s']) * unit:,.1f} ms"
            found.append((f"{what} ≤ {most * unit:g} ms", measured, row[key] <= most))
    if goal.rss_mb is not None:
        found.append((f"resident ≤ {goal.rss_mb:g} MB", f"{row['rss_mb']:.0f} MB", row["rss_mb"] <= goal.rss_mb))
    if goal.new_nodes is not None:
        found.append((f"exactly {goal.new_nodes:,} nodes", f"{row['new_nodes']:,}", row["new_nodes"] == goal.new_nodes))
    return found


def with_measured(path: Path, rows: list[Row], how: str) -> str:
    """The file with this run's means and spreads; margins that stand there stay."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"about": "", "cases": {}}
    for row in rows:
        if "error" in row or row["violations"]:
            continue
        entry = known["cases"].setdefault(row["case"], {})
        entry["how"] = how
        for key, margin in _MARGINS.items():
            values = row.get(f"{key}_all", [row[key]])
            if not values or values[0] is None:
                continue
            old = entry.get(key, {})
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            entry[key] = {
                "mean": round(statistics.fmean(values), 6),
                "spread": round(spread, 6),
                "margin": old.get("margin", margin),
            }
    return json.dumps(known, indent=1, ensure_ascii=False) + "\n"
