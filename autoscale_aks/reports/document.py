"""The demand report as JSON: `demand-report.schema.json`, whose version stands in every document as `schema`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.reports.answer import render_answer, render_value
from autoscale_aks.reports.sentences import render_time
from autoscale_aks.reports.words import amount_text
from autoscale_aks.units import exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from autoscale_aks.model.plan import Plan
    from autoscale_aks.reports.figures import DemandReport
    from autoscale_aks.reports.fleet import FleetRow

SCHEMA_ID: Final = "autoscale_aks/demand-report/1"
"""Name and version of the document. The number grows when a key goes or changes its meaning; new keys may come."""

SCHEMA_FILE: Final = "demand-report.schema.json"
"""The published JSON Schema, beside this module and in docs/schemas."""


def render_demand(report: DemandReport, plan: Plan) -> dict[str, Any]:
    """The report as JSON: its own figures, then the scenario answer (scenario.md, Out) of the plan."""
    return {
        "schema": SCHEMA_ID,
        "at": render_time(report.at) or None,
        "would_change": report.would_change,
        "summary": _summary(report),
        "actions": list(report.actions),
        **_tables(report),
        "prices": report.costs.as_dict(),
        "cost_certificate": report.cost_certificate or None,
        "fleet": [_fleet(row) for row in report.fleet],
        **_with_prices(render_answer(plan), report.costs.jobs),
    }


def _with_prices(answer: dict[str, Any], prices: Sequence[Fraction | None]) -> dict[str, Any]:
    """The answer, with each job's price an hour beside it."""
    known: dict[int, float | None] = {}
    for row, price in zip(answer["jobs"], prices, strict=False):
        if id(price) not in known:
            known[id(price)] = _price(price)
        row["price_per_hour"] = known[id(price)]
    return answer


def demand_text(document: dict[str, Any]) -> str:
    """A rendered report as text: every row on a line of its own, so that large ones are written and compared fast."""
    pieces: list[str] = []
    for key, value in document.items():
        pieces.append(f"{',' if pieces else '{'}\n  {_line(key)}: ")
        if isinstance(value, list) and value and isinstance(value[0], dict | list):
            pieces.append("[\n    ")
            shared = _SHARED.get(key)
            if shared is None:
                pieces.append(_BETWEEN.join(map(_line, value)))
            else:
                pieces.extend(_pieces(value, shared))
            pieces.append("\n  ]")
        else:
            pieces.append(_line(value))
    pieces.append("\n}" if pieces else "{\n\n}")
    return "".join(pieces)


_SHARED: Final = {"jobs": "reason", "new_nodes": "available", "existing_nodes": "available"}
"""List → the key whose values many of its rows share."""
_BETWEEN: Final = ",\n    "
_AT_ONCE: Final = 1000
"""So many rows are encoded by one call: a call a row took half of the time."""
_MARK: Final = "\n"
_MARKED: Final = '}, "\\n", {'
"""How the mark between two rows is encoded. No text has it, for its quotes would be escaped there, and no list of a row
has objects on both sides of a text."""


def _pieces(rows: Sequence[dict[str, Any]], shared: str) -> Iterator[str]:
    """Rows as text, in pieces to be joined; a value that many share is written once and copied."""
    known: dict[int, str] = {}
    between = "{"
    for first in range(0, len(rows), _AT_ONCE):
        chunk = rows[first : first + _AT_ONCE]
        values = [row.pop(shared) for row in chunk]
        marked: list[Any] = [_MARK] * (2 * len(chunk) - 1)
        marked[::2] = chunk
        bodies = _line(marked)[2:-2].split(_MARKED)
        for row, value, body in zip(chunk, values, bodies, strict=True):
            row[shared] = value
            text = known.get(id(value))
            if text is None:
                text = known[id(value)] = f', "{shared}": {_line(value)}}}'
            yield between
            yield body
            yield text
            between = f"{_BETWEEN}{{"


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False)
_line = _ENCODER.encode


def _summary(report: DemandReport) -> dict[str, Any]:
    return {
        "jobs": report.jobs,
        "slots": report.slots,
        "placed_slots": report.placed_slots,
        "waiting_jobs": report.waiting_jobs,
        "waiting_slots": report.waiting_slots,
        "ready_nodes": report.ready_nodes,
        "in_flight_nodes": report.in_flight_nodes,
        "idle_nodes": report.idle_nodes,
        "protected_nodes": report.protected_nodes,
        "machines": report.machines,
        "puts": report.puts,
        "stopping": report.stopping,
        "price_per_hour": _price(report.price_per_hour),
        "running_price_per_hour": _price(report.costs.running.per_hour),
        "idle_price_per_hour": _price(report.costs.idle.per_hour),
        "protected_price_per_hour": _price(report.costs.protected.per_hour),
        "notes": list(report.notes),
    }


def _tables(report: DemandReport) -> dict[str, list[dict[str, Any]]]:
    return {
        "starts": [
            {
                "bucket": row.bucket,
                "machines": row.machines,
                "waves": row.waves,
                "puts": row.puts,
                "price_per_hour": _price(row.price_per_hour),
                "more": row.more,
                "binding_limit": row.binding or None,
            }
            for row in report.starts
        ],
        "stops": [
            {
                "bucket": row.bucket,
                "machines": row.machines,
                "cause": row.cause,
                "idle_s": row.idle_s,
                "price_per_hour": _price(row.price_per_hour),
            }
            for row in report.stops
        ],
        "waiting": [
            {
                "code": row.code,
                "key": row.key,
                "jobs": row.jobs,
                "slots": row.slots,
                "message": row.message,
                "next": row.next_action,
                "examples": list(row.examples),
            }
            for row in report.waits
        ],
        "limits": [
            {
                "kind": row.kind.value,
                "name": row.name,
                "unit": row.unit,
                "limit": row.amount(row.limit),
                "used": row.amount(row.used),
                "added": row.amount(row.added),
                "left": row.amount(row.left),
                "missing": row.amount(row.missing),
            }
            for row in report.limits
        ],
        "demand": [
            {
                "bucket": row.bucket,
                "there": row.there,
                "new": row.new,
                "beyond": row.beyond,
                "more": row.more,
                "binding_limit": row.binding or None,
            }
            for row in report.buckets
        ],
        "in_flight": [
            {
                "bucket": row.bucket,
                "stage": row.stage,
                "state": row.state,
                "machines": row.machines,
                "oldest_s": row.oldest_s,
                "expected_s": row.expected_s,
                "given_up_s": row.given_up_s,
            }
            for row in report.flights
        ],
        "headroom": [
            {
                "name": row.name,
                "slots": row.slots,
                "placed": row.placed,
                "machines": row.machines,
                "price_per_hour": _price(row.price_per_hour),
                "message": row.message,
            }
            for row in report.room
        ],
        "sources": [
            {"name": row.name, "complete": row.complete, "age_s": row.age_s, "detail": row.detail}
            for row in report.sources
        ],
    }


def _fleet(row: FleetRow) -> dict[str, Any]:
    return {
        "bucket": row.bucket,
        "nodes": row.nodes,
        "states": {state.value: count for state, count in row.states.items()},
        "resources": [
            {
                "name": fill.name,
                "total": render_value(fill.total),
                "used": render_value(fill.used),
                "planned": render_value(fill.planned),
                "text": f"{amount_text(fill.used + fill.planned, is_size=fill.is_size)} of "
                f"{amount_text(fill.total, is_size=fill.is_size)}",
            }
            for fill in row.fills
        ],
        "running_jobs": row.running_jobs,
        "jobs": [{"name": name, "slots": slots} for name, slots in row.jobs],
        "other_jobs": row.other_jobs,
    }


def _price(price: Fraction | None) -> float | None:
    return None if price is None else float(exact(price))
