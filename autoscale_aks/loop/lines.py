"""One line a cycle: `key=value` pairs, in a fixed order, that a person can read and a program can split."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from autoscale_aks.model.launch import LaunchState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.reconcile import CycleReport

_PLAIN: Final = re.compile(r"[-\w.:/+]+")


def describe_cycle(report: CycleReport) -> dict[str, object]:
    """What a cycle did, in numbers."""
    counts = {state.value: len(report.names(state)) for state in LaunchState}
    status = "cloud-unavailable" if report.is_cloud_down else "ok" if report.is_clean else "incomplete"
    return {
        "status": status,
        "asked": report.asked,
        **counts,
        "puts": report.puts,
        "deleted": len(report.releases.deleted),
        "reopened": len(report.releases.reopened),
        "kept": len(report.releases.kept),
        "nodes": len(report.observation.snapshot.nodes),
        "waiting": len(report.observation.snapshot.jobs),
    }


def render_line(pairs: Mapping[str, object]) -> str:
    """`key=value key="two words"`; numbers with three decimals at most."""
    return " ".join(f"{key}={_value(value)}" for key, value in pairs.items())


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
