"""`azaks demand` itself on a captured queue of each scheduler: it says what the reviewed lines say."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from scheduler_scene import CAPTURES, CONFIGURED, FIXTURES, ROOT, SAMPLES, SERVED
from test_golden_schedulers import JOBS, TOTALS
from unit.reconcile.fakes import config_document, emulator_settings

from autoscale_aks.cli.main import main
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec

if TYPE_CHECKING:
    from pathlib import Path

SCENES = (
    ("slurm", "sample"),
    ("openpbs", "10-pending-running"),
    ("gridengine", "10-pending-running"),
    ("kubernetes", "10-pending"),
    ("celery", "rabbitmq/10-busy"),
)


def document(scheduler: str, scene: str, url: str) -> dict[str, Any]:
    """The scene's configuration, with the emulator's cluster and the captured queue in it."""
    raw = json.loads((ROOT / CONFIGURED.get(scheduler, f"conf/{scheduler}/autoscale.json")).read_text())
    own = {key: value for key, value in raw["scheduler"].items() if key != "url"}
    captures = CAPTURES if scheduler in {"kubernetes", "celery"} else FIXTURES
    settings = {"type": scheduler, **SERVED[scheduler]} if scheduler in SERVED else own
    aks = {**config_document(url)["aks"], **{key: raw["aks"][key] for key in ("owner", "location")}}
    capture = SAMPLES.get(scene, captures / scheduler / scene)
    more = {"ledger": {"path": "ledger.sqlite"}, "scheduler": {**settings, "capture_dir": str(capture)}}
    return {key: value for key, value in {**raw, "aks": aks, **more}.items() if key != "loop"}


@pytest.mark.parametrize(("scheduler", "scene"), SCENES, ids=[scheduler for scheduler, _ in SCENES])
def test_the_verb_answers_each_captured_job_as_reviewed(scheduler: str, scene: str, tmp_path: Path) -> None:
    raw = document(scheduler, scene, "")
    pools = tuple(array.get("agent_pool", name) for name, array in raw["nodearrays"].items())
    cluster = ClusterSpec(pools=pools, location=raw["aks"]["location"])
    with EmulatorServer(emulator_settings(clusters=(cluster,), start_time=None)) as emulator:
        config = tmp_path / "autoscale.json"
        config.write_text(json.dumps(document(scheduler, scene, emulator.base_url)))
        config.chmod(0o600)
        assert main(["demand", "-c", str(config), "--format", "json", "-o", str(tmp_path / "demand.json")]) == 0
    said = json.loads((tmp_path / "demand.json").read_text())
    lines = {line["job"]: line for line in JOBS if (line["scheduler"], line["scene"]) == (scheduler, scene)}
    (total,) = [line for line in TOTALS if (line["scheduler"], line["scene"]) == (scheduler, scene)]
    codes = {job["name"]: job["reason"]["code"] for job in said["jobs"]}
    assert len(said["jobs"]) == total["jobs"]
    assert codes == {name: line["answer"].split()[0] for name, line in lines.items()}
    assert Counter(node["nodearray"] for node in said["new_nodes"]) == total["machines"]
