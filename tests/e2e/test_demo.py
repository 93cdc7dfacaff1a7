"""`azaks demo`, which is what `make demo` runs: the whole life of a queue, and a status that can be believed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from unit.reconcile.site_fixture import MEMORY

from autoscale_aks.cli import demo
from autoscale_aks.cli.main import DONE, IN_PART, main
from autoscale_aks.config import load_config
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.settings import EmulatorSettings
from autoscale_aks.planning.demand import fold_jobs
from autoscale_aks.schedulers.registry import build_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def told() -> tuple[int, str, str, float]:
    """The demo, run once as a process of its own: status, what it said, and seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from autoscale_aks.cli.main import main; sys.exit(main())",
         "demo", "--conf", "conf"],
        capture_output=True, text=True, timeout=120, cwd=ROOT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr, time.monotonic() - started


def unwrapped(text: str) -> str:
    """Without line ends and columns."""
    return " ".join(text.split())


@pytest.mark.slow
def test_the_demo_succeeds_within_a_minute(told: tuple[int, str, str, float]) -> None:
    status, said, error, seconds = told
    assert (status, error) == (DONE, ""), said
    assert "FAILED" not in said
    assert seconds < 60


@pytest.mark.slow
def test_the_demo_shows_every_step_of_the_main_job(told: tuple[int, str, str, float]) -> None:
    said = told[1]
    steps = ["Would start", "creating ", " chunk_0: ", "P50", "P70", "P90", "P99", "P100",
             "0 machines to start", "idle machines: closed", "0 machines are left.", "In all"]  # fmt: skip
    places = [said.find(step) for step in steps]
    assert -1 not in places, dict(zip(steps, places, strict=True))
    assert places == sorted(places)


@pytest.mark.slow
def test_the_demo_counts_add_up(told: tuple[int, str, str, float]) -> None:
    last = re.search(
        r"planned ([\d,]+) machines, made ([\d,]+) with (\d+) PUTs, deleted ([\d,]+); .*\$([\d.,]+) an hour",
        unwrapped(told[1]),
    )
    assert last is not None
    planned, made, puts, deleted, dollars = last.groups()
    assert planned == made == deleted
    sent = re.search(r"creating ([\d,]+) machines with (\d+) PUTs", told[1])
    assert sent is not None
    assert sent.groups() == (planned, puts)
    assert float(dollars.replace(",", "")) > 0
    assert len(re.findall(r"^  \[\d+/\d+\] \S+ chunk_\d+: ", told[1], re.MULTILINE)) == int(puts)


@pytest.mark.slow
def test_the_readme_shows_what_the_demo_prints(told: tuple[int, str, str, float]) -> None:
    block = re.search(r"^```\n(Would start\n.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    printed = unwrapped(told[1])
    for line in block[1].splitlines():
        words = line.split()
        shown = words[:2] if words[0] == "P100" else words  # its times differ from run to run
        assert line == "…" or " ".join(shown) in printed, line


@pytest.mark.slow
def test_the_demo_fits_80_columns_and_has_no_escape_codes(told: tuple[int, str, str, float]) -> None:
    assert [line for line in told[1].splitlines() if cell_len(line.rstrip()) > 80] == []
    assert "\x1b" not in told[1]


def test_the_sample_queue_is_real_and_has_more_than_a_thousand_tasks_of_every_sort() -> None:
    config = load_config(ROOT / "conf/demo/autoscale.json")
    settings = {"type": "slurm", **config.scheduler.settings, "capture_dir": str(ROOT / "conf/sample/slurm")}
    state = build_scheduler(settings).read()
    assert state.complete
    assert sum(job.requested for job in state.jobs) >= 1000
    assert len(fold_jobs(state.jobs, {}).classes) < len(state.jobs) + 1 <= 100, "arrays are counted, not listed"
    texts = [repr(job.shape.constraints) for job in state.jobs]
    assert [job for job in state.jobs if job.shape.node_count > 1], "multi-node"
    assert [text for text in texts if "ngpus" in text or "gpu" in text], "GPU"
    assert [text for text in texts if "mem" in text], "memory"
    assert [job for job in state.jobs if not job.runnable], "held or dependent"
    assert max(job.count for job in state.jobs) > 100, "arrays"


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """The demo in a hurry, with few machines, against an emulator with these faults."""
    document = json.loads((ROOT / "conf/demo/autoscale.json").read_text())
    for array in document["nodearrays"].values():
        array["max_count"] = 8
    document["idle_timeout"] = 0.5
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/autoscale.json").write_text(json.dumps(document))
    (tmp_path / "sample").symlink_to(ROOT / "conf/sample", target_is_directory=True)

    def run(*rules: dict[str, Any]) -> int:
        def settings(**switches: Any) -> EmulatorSettings:
            faults = tuple(FaultRule(**rule) for rule in rules)
            return EmulatorSettings(**{**switches, "faults": faults, "latency_s": 0.0})

        monkeypatch.setattr(demo, "EmulatorSettings", settings)
        monkeypatch.setattr(tempfile, "tempdir", MEMORY)
        monkeypatch.setattr(demo, "SPEED", 300.0)
        monkeypatch.setattr(demo, "_READY_WAIT_S", 1.5)
        monkeypatch.setattr(demo, "_LAST_CYCLES", 5)
        return main(["demo", "--conf", str(tmp_path)])

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"kind": "client_error", "names": ("demo-htc-7",), "code": "Nope"}, "1 planned machines are missing"),
        ({"kind": "node_never_ready", "names": ("demo-hpc-3",)}, "nodes became ready"),
        ({"kind": "error_before", "operations": ("machine.delete",), "status": 409}, "machines are still there"),
    ],
)
def test_the_demo_fails_when_a_machine_is_missing_never_ready_or_left(
    small_demo: Callable[..., int], rule: dict[str, Any], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert small_demo(rule) == IN_PART
    said = capsys.readouterr().out
    assert re.search(rf"FAILED: .*{complaint}", said), said[-2000:]


@pytest.mark.slow
def test_the_same_demo_succeeds_without_the_fault(
    small_demo: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert small_demo() == DONE, capsys.readouterr().out


def test_the_demo_without_its_files_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--conf", str(tmp_path)]) == 2
    assert "autoscale.json" in capsys.readouterr().err
