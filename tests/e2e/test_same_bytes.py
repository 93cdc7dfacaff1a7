"""The same input gives the same plan, byte for byte, in any process: other hash seeds, other threads (P5)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builders import array, job, licence, node, scenario
from unit.cli.office import run

if TYPE_CHECKING:
    from pathlib import Path

SURROUNDINGS = (
    {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    {"PYTHONHASHSEED": "4711", "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"},
    {"PYTHONHASHSEED": "random", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
)


def rich() -> dict[str, Any]:
    """Columns, gangs, licences, preferences, a binding quota and nodes that exist."""
    sizes = [
        {"vm_size": f"S{cores}x{memory}", "vm_family": f"f{memory}", "vcpu_count": cores, "memory_gb": cores * memory,
         "price": cores * (0.03 + 0.0041 * memory) + cores / 7919}
        for cores in (2, 4, 8, 16, 32) for memory in (2, 4, 8)
    ]  # fmt: skip
    many = [
        job(f"j{n}", {"ncpus": 1 + n * 5 % 13, "mem": f"memory::{1 + n * 7 % 61}g"}, count=5 + n * 3 % 17)
        for n in range(30)
    ]
    jobs = [
        job("gang", {"ncpus": 7, "mem": "memory::9g"}, node_count=5),
        job("choosy", {"ncpus": 3, "node.vm_size": ["S8x4", "S4x8", "S*"]}, iterations=20),
        *many,
        job("licensed", {"ncpus": 2}, licence(1), iterations=9),
        job("alone", {"ncpus": 2}, {"exclusive": True}, iterations=3),
    ]
    there = node("a-1", nodearray="a", vm_size="S8x4", available={"ncpus": 3})
    return scenario(
        *jobs, arrays=[array("a", *sizes[:9]), array("b", *sizes[4:], priority=3)], nodes=[there],
        limits={"families": {"westus2": {"f2": {"quota_cores": 160}}}},
        policy={"objective": "cost", "optimize_seconds": 0.5},
        shared_resources={"lic": {"initial": 7, "current": 7}},
    )  # fmt: skip


def test_p5_a_plan_by_price_is_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(rich()), encoding="utf-8")
    answers = [run("plan", "--scenario", str(path), "--explain-cost", **around) for around in SURROUNDINGS]
    assert [done.returncode for done in answers] == [0, 0, 0]
    assert len({done.stdout for done in answers}) == 1
    assert json.loads(answers[0].stdout)["cost"]["method"] == "columns"
    assert all(not done.stderr for done in answers)
