"""A small site to simulate, and workloads for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unit.reconcile.fakes import bucket, config_document

from autoscale_aks.cli.simulate import staged
from autoscale_aks.config import parse_config
from autoscale_aks.simulator import read_workload, simulate

if TYPE_CHECKING:
    from pathlib import Path

    from autoscale_aks.model.simulation import Simulation


def job(**more: Any) -> dict[str, Any]:
    """Ten minutes of four cores, which is a whole machine."""
    return {"duration": 600, "constraints": [{"ncpus": 4}], **more}


def replayed(
    tmp_path: Path,
    *jobs: dict[str, Any],
    settings: dict[str, Any] | None = None,
    seed: int = 0,
    interval_s: float = 30.0,
    **config: Any,
) -> Simulation:
    """The run of these jobs on machines of four cores at a quarter an hour."""
    given = {"nodearrays": {"htc": {"buckets": [bucket(price=0.25)]}}, **config}
    document = config_document("http://127.0.0.1:9", **given)
    path = None
    if settings is not None:
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(settings))
    parsed = parse_config(json.dumps(document), str(tmp_path / "autoscale.json"))
    with staged(parsed, seed=seed, settings_path=path) as stage:
        return simulate(read_workload({"jobs": list(jobs)}), stage, interval_s=interval_s)
