"""`azaks machines list|delete`: what is there, and nothing of anybody else's goes by accident."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from unit.cli.office import ESCAPE, ROOT
from unit.reconcile.fakes import SIZE

from autoscale_aks.cli import scaling, wiring
from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, UNAVAILABLE, main
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.emulator.faults import FaultRule

if TYPE_CHECKING:
    from unit.cli.office import Office


@pytest.fixture
def crowd(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Three machines of ours, one of them failed, and two of a neighbour."""
    clock = office.emulator.clock
    effects = Effects(now=clock.now, sleep=clock.advance, random=lambda: 0.0)
    monkeypatch.setattr(wiring, "Effects", lambda: effects)
    office.emulator.state.faults.add(
        FaultRule(kind="provisioning_failure", code="ZonalAllocationFailed", names=("site-*-2",))
    )
    document = json.loads((office.directory / "autoscale.json").read_text())
    for owner, count in (("site", "3"), ("next", "2")):
        document["aks"]["owner"] = owner
        path = office.write(f"{owner}.json", document)
        assert main(["machines", "scale", "-c", str(path), "--pool", "htc", "--count", count, "-q"]) == DONE
    clock.advance(120)
    return office


def ours(office: Office) -> list[str]:
    office.emulator.catch_up()
    return [name for name in office.machines() if name.startswith("site-")]


def deletes(office: Office) -> list[Any]:
    return [entry for entry in office.emulator.journal.entries() if entry.operation == "machine.delete"]


def listed(office: Office, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["machines", "list", "-c", office.config, "--format", "json", *arguments]) == DONE
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["machines"]
    return found


def test_the_list_says_size_state_owner_age_and_why_a_machine_failed(
    crowd: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["machines", "list", "-c", crowd.config]) == DONE
    said = capsys.readouterr().out
    assert re.search(r"^site-\w+-1 +Standard_D4s_v5 +- +Succeeded +site +1\d\ds$", said, re.MULTILINE)
    assert re.search(r"^next-\w+-1 .* next ", said, re.MULTILINE)
    assert re.search(r"^  site-\w+-2: ZonalAllocationFailed: ", said, re.MULTILINE)
    assert "pool htc: 5 machines: 1 Failed, 4 Succeeded" in said
    assert ESCAPE not in said
    assert [line for line in said.splitlines() if cell_len(line.rstrip()) > 80] == []


def test_the_list_can_be_narrowed(crowd: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(listed(crowd, capsys)) == 5
    (failed,) = listed(crowd, capsys, "--state", "failed")
    assert (failed["error_kind"], failed["error_code"], failed["ours"]) == ("capacity", "ZonalAllocationFailed", True)
    assert {machine["owner"] for machine in listed(crowd, capsys, "--ours")} == {"site"}
    assert listed(crowd, capsys, "--pool", "nowhere") == []
    assert len(listed(crowd, capsys, "--nodearray", "htc")) == 5


def test_an_incomplete_list_is_status_1_and_says_so(crowd: Office, capsys: pytest.CaptureFixture[str]) -> None:
    crowd.emulator.state.faults.add(FaultRule(kind="error_before", operations=("machine.list",), status=503))
    assert main(["machines", "list", "-c", crowd.config]) == IN_PART
    assert "the list of pool htc is not complete" in capsys.readouterr().out
    assert main(["machines", "delete", "-c", crowd.config, "--all", "--yes"]) == UNAVAILABLE
    assert "nothing was changed" in capsys.readouterr().err
    assert deletes(crowd) == []


def test_named_machines_are_deleted_and_unlisted_ones_are_gone_already(
    crowd: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ours(crowd)[0]
    assert main(["machines", "delete", "-c", crowd.config, first, "site-never-1", "--yes", "--wait"]) == DONE
    said = capsys.readouterr().out
    assert "not listed in htc, so nothing to delete: site-never-1" in said
    assert "1 machine: delete accepted; 0 refused or unknown" in said
    assert first not in crowd.machines()
    assert len(crowd.machines()) == 4


def test_all_and_failed_mean_ours_only(crowd: Office) -> None:
    assert main(["machines", "delete", "-c", crowd.config, "--failed", "--yes", "--wait"]) == DONE
    assert [name.rpartition("-")[2] for name in ours(crowd)] == ["1", "3"]
    assert main(["machines", "delete", "-c", crowd.config, "--all", "--yes", "--wait"]) == DONE
    assert [name.partition("-")[0] for name in crowd.machines()] == ["next", "next"]


def test_a_machine_that_is_not_ours_stops_the_whole_delete_unless_it_is_asked_for(
    crowd: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = next(name for name in crowd.machines() if name.startswith("next-"))
    mine = ours(crowd)[0]
    capsys.readouterr()
    assert main(["machines", "delete", "-c", crowd.config, mine, theirs, "--yes"]) == BAD_INPUT
    error = capsys.readouterr().err
    assert f'1 do not carry the mark of owner "site" ({theirs}); nothing was deleted' in error
    assert "--even-if-not-ours" in error
    assert deletes(crowd) == []
    assert main(["machines", "delete", "-c", crowd.config, theirs, "--yes", "--wait", "--even-if-not-ours"]) == DONE
    assert theirs not in crowd.machines()


def test_nothing_is_deleted_without_a_yes_where_nobody_can_be_asked(
    crowd: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["machines", "delete", "-c", crowd.config, "--all"]) == BAD_INPUT
    assert "--yes: is needed where nobody can be asked: Delete 3 machines of pool htc" in capsys.readouterr().err
    assert main(["machines", "delete", "-c", crowd.config]) == BAD_INPUT
    assert "which? Name them, or give --all or --failed" in capsys.readouterr().err
    assert deletes(crowd) == []


@pytest.mark.parametrize(("typed", "left"), [(b"n\n", 3), (b"\n", 3), (b"y\n", 0)])
def test_on_a_terminal_one_is_asked_and_no_is_the_default(crowd: Office, typed: bytes, left: int) -> None:
    said = on_a_terminal(crowd, typed, "machines", "delete", "-c", crowd.config, "--all")
    assert "Delete 3 machines of pool htc (site-" in said
    assert ("Nothing was deleted" in said) == bool(left)
    crowd.emulator.clock.advance(600)
    assert len(ours(crowd)) == left


def test_on_a_terminal_a_scale_out_draws_bars(crowd: Office) -> None:
    said = on_a_terminal(crowd, b"", "machines", "scale", "-c", crowd.config, "--pool", "htc", "--count", "4")
    assert "━" in said
    assert "4/4" in said
    assert "chunk_0" not in said


def on_a_terminal(office: Office, typed: bytes, *arguments: str) -> str:
    """What stands on a terminal where these keys are pressed."""
    ours, theirs = pty.openpty()
    script = "import sys; from autoscale_aks.cli.main import main; sys.exit(main())"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT,
        env=environment,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(30) == DONE, shown
    assert office.directory
    return shown.decode(errors="replace")


def test_a_delete_that_is_refused_is_status_1(crowd: Office, capsys: pytest.CaptureFixture[str]) -> None:
    rule = FaultRule(kind="error_before", operations=("machine.delete",), status=400, code="Nope", message="not now")
    crowd.emulator.state.faults.add(rule)
    assert main(["machines", "delete", "-c", crowd.config, "--all", "--yes"]) == IN_PART
    said = capsys.readouterr().out
    assert "0 machines: delete accepted; 3 refused or unknown" in said
    assert "rejected: Nope: not now" in said
    assert main(["machines", "delete", "-c", crowd.config, "--all", "--yes", "--format", "json"]) == IN_PART
    document = json.loads(capsys.readouterr().out)
    assert {(one["state"], one["code"]) for one in document["refused"]} == {("rejected", "Nope")}
    assert (document["accepted"], document["not_listed"], document["still_listed"]) == ([], [], [])


def test_machines_that_leave_already_are_not_asked_for_again(crowd: Office) -> None:
    assert main(["machines", "delete", "-c", crowd.config, "--all", "--yes"]) == DONE
    assert main(["machines", "delete", "-c", crowd.config, "--all", "--yes"]) == DONE
    assert len(deletes(crowd)) == 1


def test_a_hundred_and_twenty_machines_go_in_three_requests(crowd: Office) -> None:
    assert main(["machines", "scale", "-c", crowd.config, "--pool", "htc", "--count", "120", "-q"]) == DONE
    assert main(["machines", "delete", "-c", crowd.config, "--all", "--yes"]) == DONE
    assert sorted(len(entry.names) for entry in deletes(crowd)) == [23, 50, 50]


def test_a_name_in_two_pools_is_deleted_only_where_one_says(
    crowd: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "scale_names", lambda count, *_: tuple(f"site-same-{n}" for n in range(count)))
    assert main(["pool", "create", "-c", crowd.config, "--pool", "perf", "-q"]) == DONE
    for pool in ("htc", "perf"):
        arguments = ["--pool", pool, "--vm-size", SIZE, "--count", "1", "-q"]
        assert main(["machines", "scale", "-c", crowd.config, *arguments]) == DONE
    both = ["--pool", "htc", "--pool", "perf"]
    assert main(["machines", "delete", "-c", crowd.config, *both, "site-same-0", "--yes"]) == BAD_INPUT
    assert "site-same-0 stands in the pools htc, perf; say which with --pool" in capsys.readouterr().err
    assert main(["machines", "delete", "-c", crowd.config, "--pool", "perf", "site-same-0", "--yes", "--wait"]) == DONE
    assert crowd.machines().count("site-same-0") == 1
