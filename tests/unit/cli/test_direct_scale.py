"""`azaks machines scale`: exact multiples, an honest summary, a record on disk (batching.md B1, B2, B6, B11)."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from unit.cli.office import ROOT, Office, run
from unit.reconcile.fakes import SIZE, bucket, emulator_settings

from autoscale_aks.cli import scaling, wiring
from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, INTERRUPTED, UNAVAILABLE, main
from autoscale_aks.cli.scaling_report import append_record
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.record import ChunkTiming, OperationRecord
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec
from autoscale_aks.ledger.lock import Writer, WriterLock
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.model.launch import OWNER_TAG

Json = dict[str, Any]

HEEDING = """
import signal, sys
from autoscale_aks.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
"""The program as a terminal starts it: where tests run in the background, a child would ignore SIGINT."""


def scale(office: Office, *arguments: str) -> int:
    return main(["machines", "scale", "-c", office.config, "--pool", "htc", *arguments])


def emulated_time(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client lives by the emulator's clock: what it sleeps passes there."""
    clock = office.emulator.clock
    effects = Effects(now=clock.now, sleep=clock.advance, random=lambda: 0.0)
    monkeypatch.setattr(wiring, "Effects", lambda: effects)


def puts(office: Office) -> list[Any]:
    wanted = {"machine.put", "machine.batch_put"}
    return [entry for entry in office.emulator.journal.entries() if entry.operation in wanted]


def records(office: Office) -> list[Json]:
    return [json.loads(line) for line in (office.directory / "operations.jsonl").read_text().splitlines()]


def test_b1_each_worker_sends_one_contiguous_slice_of_one_run(office: Office) -> None:
    assert scale(office, "--count", "6", "--workers", "2") == DONE
    names = [entry.names for entry in sorted(puts(office), key=lambda entry: entry.names)]
    assert [len(slice_) for slice_ in names] == [3, 3]
    numbers = [[int(name.rpartition("-")[2]) for name in slice_] for slice_ in names]
    assert numbers == [[1, 2, 3], [4, 5, 6]]
    assert len({name.rpartition("-")[0] for slice_ in names for name in slice_}) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--count", "97", "--workers", "2"), "--workers: 97 machines cannot be split evenly over 2 workers"),
        (("--count", "97", "--workers", "2"), "the nearest counts are 96 and 98. Nothing was sent"),
        (("--count", "97"), "--count: 97 machines cannot be split evenly over 2 workers"),
        (("--count", "51", "--workers", "1"), "51 machines need at least 2 workers"),
        (("--count", "4", "--workers", "0"), "must be above 0"),
        (("--count", "0"), "not in the range"),
        (("--count", "4", "--vm-size", "Standard_Nope"), "does not offer 'Standard_Nope', only"),
        (("--count", "4", "--zone", "1"), "does not offer Standard_D4s_v5 in zone 1, only in no zone"),
        (("--count", "4", "--nodearray", "hpc"), 'no node array "hpc"; known are htc'),
        (("--count", "4", "--records", "/proc/no/such"), "cannot be written"),
        (("--count", "4", "--header", "none"), "is not one of"),
    ],
)  # fmt: skip
def test_b2_what_cannot_be_is_refused_with_status_2_before_any_request(
    office: Office, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scale(office, *arguments) == BAD_INPUT
    assert said in capsys.readouterr().err
    assert office.emulator.journal.entries() == []


def test_without_workers_there_is_one_for_every_fifty(office: Office) -> None:
    assert scale(office, "--count", "150", "-q") == DONE
    assert [len(entry.names) for entry in puts(office)] == [50, 50, 50]


def test_without_batch_every_machine_goes_out_alone_and_the_time_is_measured_the_same_way(office: Office) -> None:
    assert scale(office, "--count", "6", "--workers", "3", "--no-batch") == DONE
    assert scale(office, "--count", "6", "--workers", "3", "--batch") == DONE
    assert [entry.operation for entry in puts(office)] == ["machine.put"] * 6 + ["machine.batch_put"] * 3
    one_by_one, batch = records(office)
    assert (one_by_one["use_batch_api"], one_by_one["puts"]) == (False, 6)
    assert (batch["use_batch_api"], batch["puts"]) == (True, 3)
    for record in (one_by_one, batch):
        chunks = record["batch_command_execution_times"]
        assert list(chunks) == ["chunk_0", "chunk_1", "chunk_2"]
        assert all(chunk["total_machines_in_batch"] == 2 for chunk in chunks.values())
        assert record["command_execution_time"] >= max(chunk["execution_time_seconds"] for chunk in chunks.values())


@pytest.mark.parametrize(("form", "listed"), [("all", "all"), ("additional", "additional")])
def test_b7_either_header_form_can_be_used(office: Office, form: str, listed: str) -> None:
    assert scale(office, "--count", "4", "--header", form) == DONE
    assert [entry.batch for entry in puts(office)] == [listed]
    assert len(office.machines()) == 4


def test_machines_carry_the_mark_in_name_tags_and_labels_and_say_where_they_come_from(office: Office) -> None:
    assert scale(office, "--count", "2") == DONE
    for machine in (one for pool in office.emulator.state.pools() for one in pool.listed()):
        assert machine.name.startswith("site-")
        assert len(machine.name) <= 34
        tags = machine.tags or {}
        assert (tags[OWNER_TAG], tags["azaks-nodearray"]) == ("site", "htc")
        assert re.fullmatch(r"direct-[0-9a-f]+", tags["azaks-plan"])
        assert machine.template["kubernetes"]["nodeLabels"][OWNER_TAG] == "site"


@pytest.mark.parametrize("how", [("--header", "all"), ("--header", "additional"), ("--no-batch",)])
def test_the_next_cycle_adopts_them_whatever_the_header_lost_and_asks_for_nothing_they_can_do(
    office: Office, how: tuple[str, ...]
) -> None:
    assert scale(office, "--count", "3", *how) == DONE
    office.emulator.clock.advance(600)
    before = office.machines()
    assert main(["demand", "-c", office.config, "--format", "json"]) == DONE
    assert main(["autoscale", "-c", office.config]) == DONE
    assert office.machines() == before, "three machines are there for a job that wants three"
    with Ledger.open(office.directory / "ledger.sqlite", now=time.time(), read_only=True) as ledger:
        assert sorted(record.name for record in ledger.machines()) == before
        assert {(record.nodearray, record.vm_size) for record in ledger.machines()} == {("htc", SIZE)}


def test_a_cycle_that_runs_meanwhile_is_no_obstacle(office: Office) -> None:
    writer = Writer(owner="site", now=time.time(), pid=os.getpid(), host=socket.gethostname())
    with WriterLock(office.directory / "ledger.sqlite", writer):
        assert scale(office, "--count", "2") == DONE
    assert len(office.machines()) == 2


def test_zones_of_the_node_array_are_taken_in_turn(office: Office) -> None:
    office.configure(nodearrays={"htc": {"zones": ["1", "2", "3"], "buckets": [bucket()]}})
    for form in ("all", "additional"):
        assert scale(office, "--count", "4", "--header", form, "-q") == DONE
    assert scale(office, "--count", "2", "--zone", "2", "-q") == DONE
    machines = [one for pool in office.emulator.state.pools() for one in pool.listed()]
    assert [machine.zones for machine in machines] == [("1",), ("2",), ("3",), ("1",)] * 2 + [("2",)] * 2


def test_a_pool_that_no_node_array_uses_needs_only_a_size(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated_time(office, monkeypatch)
    assert main(["machines", "scale", "-c", office.config, "--pool", "perf", "--count", "2"]) == BAD_INPUT
    assert "--vm-size: is missing; no node array uses pool perf" in capsys.readouterr().err
    arguments = ["machines", "scale", "-c", office.config, "--pool", "perf", "--count", "2", "--vm-size", SIZE]
    assert main(arguments) == BAD_INPUT
    assert 'there is no agent pool "perf" in the cluster; next: azaks pool create --pool perf' in (
        capsys.readouterr().err
    )
    assert main(["pool", "create", "-c", office.config, "--pool", "perf"]) == DONE
    assert main(arguments) == DONE
    assert len(office.machines()) == 2


def test_several_node_arrays_of_one_pool_are_told_apart_by_size_or_name(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "Standard_F4s_v2"
    office.configure(
        nodearrays={
            "htc": {"buckets": [bucket()]},
            "big": {"agent_pool": "htc", "buckets": [bucket(), bucket(other)]},
        }
    )
    assert scale(office, "--count", "1") == BAD_INPUT
    assert "--nodearray: is missing; several use pool htc: htc, big" in capsys.readouterr().err
    assert scale(office, "--count", "1", "--vm-size", other) == DONE
    assert scale(office, "--count", "1", "--nodearray", "htc") == DONE
    assert scale(office, "--count", "1", "--nodearray", "big") == BAD_INPUT
    assert f"--vm-size: is missing; big offers {SIZE}, {other}" in capsys.readouterr().err
    assert main(["machines", "scale", "-c", office.config, "--count", "1"]) == BAD_INPUT


def test_the_summary_says_what_was_asked_and_what_came_of_it(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.emulator.state.faults.add(FaultRule(kind="client_error", names=("*-2", "*-4"), code="QuotaExceeded"))
    assert scale(office, "--count", "6", "--workers", "2") == IN_PART
    said = capsys.readouterr().out
    assert "creating 6 machines in 2 chunks" in said
    assert re.search(r"\[2/2\] htc chunk_[01]: ", said)
    assert "asked for 6 machines of Standard_D4s_v5 in pool htc, with the batch header" in said
    assert re.search(r"accepted +4\n +rejected +2  quota 2\n +failed later +0\n +unknown +0\n +PUTs +2\n", said)
    assert re.search(r"site-\w+-2: rejected: QuotaExceeded", said)
    (record,) = records(office)
    assert (record["successful_machines"], record["failed_by_kind"], record["success"]) == (4, {"quota": 2}, False)


def test_quiet_prints_only_the_summary_and_json_only_json(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert scale(office, "--count", "2", "-q") == DONE
    assert "creating" not in capsys.readouterr().out
    assert scale(office, "--count", "2", "--format", "json") == DONE
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert (data["count"], data["successful_machines"], data["success"]) == (2, 2, True)
    assert data["first_machine"] == office.machines()[-2]
    assert "creating 2 machines" in captured.err


def test_b11_records_are_added_line_by_line_where_one_wants_them(office: Office) -> None:
    path = office.directory / "deep" / "er" / "runs.jsonl"
    for _ in range(2):
        assert scale(office, "--count", "2", "--records", str(path), "-q") == DONE
    lines = path.read_text().splitlines()
    assert [json.loads(line)["count"] for line in lines] == [2, 2]
    assert not (office.directory / "operations.jsonl").exists()


def test_b10_what_was_learned_of_the_header_is_kept_for_everybody_and_asked_anew_with_batch(office: Office) -> None:
    settings = emulator_settings(clusters=(ClusterSpec(pools=("htc",)),), batch_mode="unsupported", start_time=None)
    with EmulatorServer(settings) as emulator:
        deaf = Office(office.directory, emulator)
        deaf.configure()
        assert scale(deaf, "--count", "3", "-q") == DONE
        assert len(deaf.machines()) == len(puts(deaf)) == 3
    office.configure()
    assert scale(office, "--count", "3", "-q") == DONE
    assert [entry.operation for entry in puts(office)] == ["machine.put"] * 3, "remembered"
    for arguments in (("--batch",), ()):
        assert scale(office, "--count", "3", "-q", *arguments) == DONE
    assert [entry.operation for entry in puts(office)][3:] == ["machine.batch_put"] * 2, "and corrected"


def test_t10b_a_retry_after_holds_for_the_next_process_and_only_for_its_kind_of_request(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = FaultRule(kind="throttle", operations=("machine.batch_put",), after_s=900.0)
    office.emulator.state.faults.add(rule)
    assert scale(office, "--count", "4") == UNAVAILABLE
    assert "throttle 4" in capsys.readouterr().out
    office.emulator.state.faults.remove()
    sent = len(puts(office))
    done = run("machines", "scale", "-c", office.config, "--pool", "htc", "--count", "4")
    assert (done.returncode, "the service wants no writes before" in done.stdout) == (UNAVAILABLE, True)
    assert len(puts(office)) == sent, "nothing more was sent"
    assert scale(office, "--count", "4", "--batch") == UNAVAILABLE, "to try the header anew is no way round"
    assert len(puts(office)) == sent
    assert main(["machines", "list", "-c", office.config]) == DONE, "reads are free"
    capsys.readouterr()
    assert main(["demand", "-c", office.config]) == DONE
    assert "API_THROTTLED" in capsys.readouterr().out


def test_b11_with_wait_both_forms_of_readiness_are_measured(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated_time(office, monkeypatch)
    assert scale(office, "--count", "10", "--wait") == DONE
    said = capsys.readouterr().out
    assert "10 of 10 nodes ready" in said
    assert re.search(r"^P50 +5 +5\d\.\d +5 +5\d\.\d$", said, re.MULTILINE)
    assert re.search(r"^P100 +10 +5\d\.\d +10 +5\d\.\d$", said, re.MULTILINE)
    (record,) = records(office)
    assert record["node_readiness_time"] == record["readiness"]["P100"]["elapsed_time_seconds"] > 40
    assert list(record["new_node_readiness"]) == ["P50", "P70", "P90", "P99", "P100"]


def test_machines_that_fail_later_end_the_waiting_and_are_deleted_by_the_next_command(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    emulated_time(office, monkeypatch)
    office.emulator.state.faults.add(
        FaultRule(kind="provisioning_failure", code="SkuNotAvailable", names=("*-1", "*-3"))
    )
    started = office.emulator.clock.now()
    assert scale(office, "--count", "4", "--wait") == IN_PART
    assert office.emulator.clock.now() - started < 120
    said = capsys.readouterr().out
    assert re.search(r"accepted +4\n +rejected +0\n +failed later +2  capacity 2\n", said)
    assert "next: azaks machines delete --failed takes the failed ones away" in said
    assert main(["machines", "delete", "-c", office.config, "--failed", "--yes", "--wait"]) == DONE
    assert [name.rpartition("-")[2] for name in office.machines()] == ["2", "4"]


def test_waiting_needs_nodes_to_look_at(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((office.directory / "autoscale.json").read_text())
    del document["aks"]["kubernetes_url"]
    office.write("autoscale.json", document)
    assert scale(office, "--count", "2", "--wait") == BAD_INPUT
    assert "--wait: needs a Kubernetes API" in capsys.readouterr().err
    office.configure()
    office.emulator.state.faults.add(FaultRule(kind="error_before", operations=("node.list",), status=403))
    assert scale(office, "--count", "2", "--wait") == IN_PART
    assert "readiness was not measured" in capsys.readouterr().out
    assert len(office.machines()) == 2, "they are made all the same"


def test_a_service_that_lets_nothing_be_done_is_status_5(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    office.emulator.state.faults.add(FaultRule(kind="error_before", operations=("pool.get",), status=403, code="No"))
    assert scale(office, "--count", "2") == UNAVAILABLE
    captured = capsys.readouterr()
    assert "HTTP 403 No" in captured.err
    assert "(correlation " in captured.err
    office.emulator.state.faults.remove()
    rule = FaultRule(kind="error_before", operations=("machine.batch_put",), status=403, code="No")
    office.emulator.state.faults.add(rule)
    assert scale(office, "--count", "2") == UNAVAILABLE


def test_a_header_that_the_site_switched_off_is_tried_only_when_asked_for_and_never_remembered(office: Office) -> None:
    document = json.loads((office.directory / "autoscale.json").read_text())
    document["aks"]["batch_header"] = "off"
    office.write("autoscale.json", document)
    assert scale(office, "--count", "2", "-q") == DONE
    assert main(["autoscale", "-c", office.config, "-q"]) == DONE
    with Ledger.open(office.directory / "ledger.sqlite", now=time.time(), read_only=True) as ledger:
        assert ledger.flag("batch_honoured:aks-emulated") is None
    for more in (("--batch",), ("--header", "additional")):
        assert scale(office, "--count", "2", "-q", *more) == DONE
    sent = [(entry.operation, entry.batch) for entry in puts(office)]
    assert sent[-2:] == [("machine.batch_put", "all"), ("machine.batch_put", "additional")]
    assert {operation for operation, _ in sent[:-2]} == {"machine.put"}


def test_a_record_that_cannot_be_written_is_shown_and_the_machines_are_made(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> str:
        return "the record could not be written to operations.jsonl: No space left on device"

    monkeypatch.setattr(scaling, "append_record", full)
    assert scale(office, "--count", "2") == IN_PART
    said = capsys.readouterr().out
    assert "note: the record could not be written to operations.jsonl: No space left on device; it is {" in said
    assert len(office.machines()) == 2


def test_b11_lines_of_records_that_are_written_together_do_not_mix(office: Office) -> None:
    path = office.directory / "many.jsonl"
    timing = ChunkTiming(started_at=0.0, ended_at=1.0, machines=50, attempts=1)
    record = OperationRecord(
        cluster="c", agent_pool="p", vm_size=SIZE, count=10_000, workers=200, use_batch_api=True,
        command_execution_time=1.0, batch_command_execution_times={f"chunk_{n}": timing for n in range(200)},
    )  # fmt: skip
    threads = [threading.Thread(target=append_record, args=(path, record)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [record.to_dict()] * 16


def test_130_interrupted_says_which_machines_may_exist(office: Office) -> None:
    office.emulator.state.faults.add(FaultRule(kind="slow", operations=("machine.batch_put",), after_s=1.5))
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING, "machines", "scale", "-c", office.config, "--pool", "htc", "--count", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not puts(office) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, error = process.communicate(timeout=20)
    assert (process.returncode, b"Traceback" in error) == (INTERRUPTED, False), error
    assert re.search(rb"interrupted; machines site-\w+-1 .* may exist", said)
