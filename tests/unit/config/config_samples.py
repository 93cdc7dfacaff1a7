"""A small valid configuration and ways to change it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from autoscale_aks.config import parse_config
from autoscale_aks.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "conf" / "autoscale.example.json"

SMALL: dict[str, Any] = {
    "aks": {
        "subscription": "00000000-0000-0000-0000-000000000001",
        "resource_group": "rg",
        "cluster": "cl",
        "location": "westus2",
        "owner": "az1",
    },
    "scheduler": {"type": "slurm"},
    "ledger": {"path": "ledger.sqlite"},
    "nodearrays": {
        "htc": {"buckets": [{"vm_size": "Standard_D4s_v5", "vcpu_count": 4, "memory_gb": 16}]},
        "hpc": {"buckets": [{"vm_size": "Standard_F16s_v2", "vcpu_count": 16, "memory_gb": 32}]},
    },
}

GONE = object()


def changed(path: str, value: Any = GONE, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """The small configuration with one value set (or taken out); `path` is dotted, digits are list indexes."""
    document = copy.deepcopy(SMALL if base is None else base)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place: Any = document
    for part in parents:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return document


def problems(document: Any) -> list[tuple[str, str]]:
    """Path and message of every problem, none when the document is good."""
    return problems_of_text(document if isinstance(document, str) else json.dumps(document))


def problems_of_text(text: str) -> list[tuple[str, str]]:
    try:
        parse_config(text)
    except ConfigError as error:
        return [(problem.path, problem.message) for problem in error.problems]
    return []
