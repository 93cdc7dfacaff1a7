"""The demand report as JSON: `demand-report.schema.json`, whose version stands in every document as `schema`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.reports.answer import render_answer, render_value
from autoscale_aks.reports.sentences import render_time
from autoscale_aks.reports.words import amount_text
from autoscale_aks.units import exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict | list):
            rows = ",\n".join(f"    {text}" for text in _lines(value, _SHARED.get(key)))
            lines.append(f"  {_line(key)}: [\n{rows}\n  ]")
        else:
            lines.append(f"  {_line(key)}: {_line(value)}")
    return "{\n" + ",\n".join(lines) + "\n}"


_SHARED: Final = {"jobs": "reason", "new_nodes": "available"}
"""List → the key whose values many of its rows share."""


def _lines(rows: Iterable[Any], shared: str | None) -> Iterable[str]:
    """Rows as text; a value that many share is written once and copied."""
    if shared is None:
        yield from map(_line, rows)
        return
    known: dict[int, str] = {}
    for row in rows:
        value = row.pop(shared)
        text = known.get(id(value))
        if text is None:
            text = known[id(value)] = _line(value)
        rest = _line(row)
        row[shared] = value
        yield f'{rest[:-1]}, "{shared}": {text}}}'


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
