"""Every exit status that `cli/main.py` documents, shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from unit.cli.office import ROOT, run, work

from autoscale_aks.cli.main import (
    BAD_INPUT,
    DEFECT,
    DONE,
    IN_PART,
    INTERRUPTED,
    LOCK_HELD,
    UNAVAILABLE,
    WOULD_CHANGE,
    main,
)
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.ledger.lock import Writer, WriterLock

if TYPE_CHECKING:
    from unit.cli.office import Office

HEEDING = """
import signal, sys
from autoscale_aks.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
"""The program as a terminal starts it: where tests run in the background, a child would ignore SIGINT."""


def test_the_statuses_are_the_documented_ones() -> None:
    table = [
        line.split(maxsplit=1)
        for line in (sys.modules[main.__module__].__doc__ or "").splitlines()
        if line[:1].isdigit()
    ]
    assert [int(number) for number, _ in table] == [
        DONE, IN_PART, BAD_INPUT, WOULD_CHANGE, LOCK_HELD, UNAVAILABLE, DEFECT, INTERRUPTED,
    ]  # fmt: skip
    readme = (ROOT / "README.md").read_text()
    for number in (DONE, IN_PART, BAD_INPUT, LOCK_HELD, UNAVAILABLE):
        assert f"{number} " in readme.split("Exit status:")[1].split("\n\n")[0]


def test_0_done(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["autoscale", "-c", office.config]) == DONE
    assert office.machines() == ["site-htc-1", "site-htc-2", "site-htc-3"]
    assert "3 accepted, 0 rejected, 0 unknown\ndeleted 0 machines" in capsys.readouterr().out
    assert main(["demand", "-c", office.config]) == DONE


def test_1_done_in_part(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.emulator.state.faults.add(FaultRule(kind="client_error", names=("site-htc-2",), code="Nope"))
    assert main(["autoscale", "-c", office.config]) == IN_PART
    said = capsys.readouterr().out
    assert "2 accepted, 1 rejected" in said
    assert "site-htc-2" in said


def test_1_a_bucket_that_is_left_out_for_a_mistake(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((office.directory / "autoscale.json").read_text())
    document["nodearrays"]["htc"]["buckets"].append({"vm_size": "Standard_E4s_v5", "vcpu_count": 0, "memory_gb": 32})
    office.write("autoscale.json", json.dumps(document, indent=1))
    assert main(["autoscale", "-c", office.config]) == IN_PART
    said = " ".join(capsys.readouterr().out.split())
    assert "left out of the configuration: nodearrays.htc.buckets[1].vcpu_count: expected a number from 1" in said
    assert len(office.machines()) == 3, "the rest goes on"
    assert main(["demand", "-c", office.config]) == DONE
    assert "left out of the configuration" in capsys.readouterr().out
    assert main(["validate", "-c", office.config]) == BAD_INPUT
    assert main(["machines", "list", "-c", office.config]) == BAD_INPUT, "direct tools take only whole files"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["autosale"], 'Did you mean "autoscale"?'),
        (["demnad", "-c", "x"], 'Did you mean "demand"?'),
        (["frobnicate"], 'There is no verb "frobnicate"'),
        (["demand"], "Missing option '-c'"),
        (["demand", "-c", "/does/not/exist.json"], "there is no such file"),
        (["demand", "-c", "/"], "is a directory"),
        (["plan"], "Missing option '--scenario'"),
        (["plan", "--scenario", "/does/not/exist.json"], "cannot be read"),
        (["demand", "--format", "xml", "-c", "x"], "'xml' is not one of"),
        (["--frob"], "No such option"),
    ],
)
def test_2_bad_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == BAD_INPUT
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_2_a_configuration_with_three_mistakes_gives_three_lines_with_paths(office: Office) -> None:
    document = json.loads((office.directory / "autoscale.json").read_text())
    document["aks"]["cluser"] = document["aks"].pop("cluster")
    document["nodearrays"]["htc"]["buckets"][0]["vcpu_count"] = 0
    document["idle_timeout"] = "soon"
    office.write("autoscale.json", json.dumps(document, indent=1))
    done = run("autoscale", "-c", office.config)
    lines = done.stderr.splitlines()
    for path in ("aks.cluser: ", "nodearrays.htc.buckets[0].vcpu_count: ", "idle_timeout: "):
        assert len([line for line in lines if line.startswith(f"error: {path}")]) == 1, lines
    assert all(line.startswith("error: ") for line in lines), "and no traceback"
    assert "did you mean" in done.stderr
    assert (done.returncode, done.stdout, office.machines()) == (BAD_INPUT, "", [])
    assert not (office.directory / "ledger.sqlite").exists()


def test_2_a_secret_in_the_configuration_is_named_and_never_shown(office: Office) -> None:
    document = json.loads((office.directory / "autoscale.json").read_text())
    document["aks"]["client_secret"] = "hunter2hunter2"
    office.write("autoscale.json", document)
    done = run("demand", "-c", office.config)
    assert done.returncode == BAD_INPUT
    assert "aks.client_secret" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_2_settings_of_the_scheduler_that_are_wrong_have_paths(office: Office) -> None:
    office.configure(scheduler={"type": "comand", "jobs_file": "jobs.json"})
    done = run("demand", "-c", office.config)
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")
    assert "scheduler.type" in done.stderr
    assert '"command"' in done.stderr


def test_4_another_run_is_the_writer_and_nothing_is_done(office: Office) -> None:
    other = Writer(owner="the-other", now=time.time(), pid=4711)
    with WriterLock(office.directory / "ledger.sqlite", other):
        done = run("autoscale", "-c", office.config)
        assert (done.returncode, done.stdout) == (LOCK_HELD, "")
        assert "the-other, process 4711" in done.stderr
        assert run("demand", "-c", office.config).returncode == DONE, "readers need no lock"
    assert office.machines() == []
    assert main(["autoscale", "-c", office.config, "--quiet"]) == DONE


def test_5_a_scheduler_that_cannot_be_read(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.write("jobs.json", "not a job list")
    for verb in ("demand", "autoscale"):
        assert main([verb, "-c", office.config]) == UNAVAILABLE
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert "jobs.json" in captured.err
    assert not [entry for entry in office.emulator.journal.entries() if entry.method != "GET"]


def test_5_a_ledger_that_cannot_be_used(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    path = office.write("ledger.sqlite", "this is a letter to my aunt, not a database " * 40)
    before = path.read_bytes()
    assert main(["autoscale", "-c", office.config]) == UNAVAILABLE
    assert "ledger.sqlite" in capsys.readouterr().err
    assert (path.read_bytes(), office.machines()) == (before, [])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (FaultRule(kind="error_before", operations=("machine.list",), status=403, code="Nope"), "AUTH"),
        (FaultRule(kind="throttle", operations=("machine.list",), after_s=900.0), "API_THROTTLED"),
    ],
)
def test_5_a_cloud_that_lets_nothing_be_done(
    office: Office, fault: FaultRule, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    office.emulator.state.faults.add(fault)
    assert main(["autoscale", "-c", office.config]) == UNAVAILABLE
    captured = capsys.readouterr()
    assert reason in captured.out
    assert office.machines() == []


def test_130_interrupted(office: Office) -> None:
    office.configure(scheduler={"type": "command", "jobs": [sys.executable, "-c", "import time; time.sleep(30)"]})
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING, "autoscale", "-c", office.config],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ, cwd=ROOT,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not (office.directory / "ledger.sqlite").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert (process.returncode, b"Traceback" in error) == (INTERRUPTED, False), error


def test_debug_shows_the_traceback_and_nothing_else_does(office: Office) -> None:
    office.write("jobs.json", "not a job list")
    assert "Traceback" not in run("demand", "-c", office.config).stderr
    assert "Traceback" in run("--debug", "demand", "-c", office.config).stderr


def test_relative_paths_of_the_scheduler_start_at_the_configuration_wherever_one_stands(office: Office) -> None:
    done = run("demand", "-c", office.config, cwd=office.directory.parent)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert "htc/Standard_D4s_v5" in done.stdout


def test_a_pipe_that_closes_early_is_no_traceback(office: Office) -> None:
    office.queue(*(work(f"job-{number}", cpus=1000) for number in range(50)))
    script = (
        f'"{sys.executable}" -c "import sys; from autoscale_aks.cli.main import main; sys.exit(main())" '
        f'demand -c "{office.config}" --format json | head -c 1'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, cwd=ROOT, check=False)
    assert b"Traceback" not in done.stderr
    assert done.stdout == b"{"
