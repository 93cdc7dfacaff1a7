"""Acts by hand keep the loop's promises: limits, intent first, close → look → delete, protections, one writer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import IDLE_S, SIZE, Site, bucket
from unit.reconcile.site_fixture import make_site

from autoscale_aks.cli import acting, drain, protect, retry, wiring
from autoscale_aks.cli import history as history_verb
from autoscale_aks.cli.acting import parse_filters
from autoscale_aks.cli.main import BAD_INPUT, DONE, IN_PART, LOCK_HELD, UNAVAILABLE, main
from autoscale_aks.errors import InputError
from autoscale_aks.ledger.records import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_site"]


@dataclass(slots=True)
class Desk:
    """A site, and somebody at its command line."""

    site: Site
    capsys: pytest.CaptureFixture[str]

    def say(self, verb: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit status and the answer in JSON."""
        path = self.site.directory / "autoscale.json"
        path.write_text(json.dumps(self.site.document))
        path.chmod(0o600)
        self.capsys.readouterr()
        status = main([verb, "-c", str(path), *arguments, "--format", "json"])
        out, self.err = self.capsys.readouterr()
        return status, json.loads(out) if out.strip() else {}

    err: str = ""

    def outcomes(self, verb: str, *arguments: str) -> tuple[int, dict[str, str]]:
        status, answer = self.say(verb, *arguments)
        return status, {row["name"]: row["outcome"] for row in answer.get("rows", [])}


@pytest.fixture
def make_desk(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Desk]:
    def make(**config: Any) -> Desk:
        site = make_site(**config)
        for module in (wiring, acting, drain, protect, retry, history_verb):
            monkeypatch.setattr(module, "SystemClock", lambda: site.clock)
        return Desk(site, capsys)

    return make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


def with_machines(desk: Desk, count: int, *, busy: int = 0) -> list[str]:
    """So many machines that are ready, the first few of them at work."""
    site = desk.site
    site.scheduler.submit("work", iterations=count)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    names = site.names()
    for number, name in enumerate(names[:busy], start=1):
        site.scheduler.start(f"job{number}", name)
    return names


# create


def test_created_machines_are_in_the_ledger_before_the_cloud_and_in_the_scheduler_after(desk: Desk) -> None:
    status, answer = desk.say("create", "--nodearray", "htc", "--count", "3", "--yes")
    assert status == DONE
    assert [row["outcome"] for row in answer["rows"]] == ["created"] * 3
    assert desk.site.names() == ["site-htc-1", "site-htc-2", "site-htc-3"]
    records = desk.site.records()
    assert {record.plan_id for record in records.values()} == {answer["plan_id"]}
    assert desk.site.scheduler.told("add") == desk.site.names()
    with desk.site.ledger() as ledger:
        (cycle,) = ledger.cycles()
        assert (cycle.status, cycle.summary["verb"], cycle.plan_id) == ("by hand", "create", answer["plan_id"])
        assert ledger.life("site-htc-1")[0].plan_id == answer["plan_id"]


def test_a_second_create_makes_further_machines_and_the_loop_lets_them_go_when_idle(desk: Desk) -> None:
    desk.say("create", "--nodearray", "htc", "--count", "2", "--yes")
    desk.site.boot()
    assert desk.say("create", "--nodearray", "htc", "--count", "1", "--yes")[0] == DONE
    assert desk.site.names() == ["site-htc-1", "site-htc-2", "site-htc-3"]
    desk.site.boot()
    desk.site.cycle()
    desk.site.advance(IDLE_S + 1)
    desk.site.cycle()
    assert desk.site.deletes() == ["site-htc-1", "site-htc-2", "site-htc-3"]


def test_limits_hold_for_creates_and_what_is_missing_is_explained(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(limits={"cluster_max_nodes": 2})
    status, answer = desk.say("create", "--nodearray", "htc", "--count", "5", "--yes")
    assert status == IN_PART
    assert len(desk.site.names()) == 2
    missing = answer["rows"][-1]
    assert missing["outcome"] == "not possible"
    assert "LIMIT" in missing["detail"]


def test_size_zone_and_group_are_as_asked_and_a_group_is_all_or_none(make_desk: Callable[..., Desk]) -> None:
    groups = {"placement_groups": ["pg1", "pg2"], "max_placement_group_size": 3}
    desk = make_desk(nodearrays={"hpc": {"buckets": [bucket("Standard_F4s_v2"), bucket(SIZE)], **groups}})
    status, _ = desk.say(
        "create", "--nodearray", "hpc", "--vm-size", SIZE, "--placement-group", "pg2", "--count", "2", "--yes"
    )
    assert status == DONE
    records = desk.site.records().values()
    assert {(record.vm_size, record.placement_group) for record in records} == {(SIZE, "pg2")}
    assert desk.say("create", "--nodearray", "hpc", "--placement-group", "pg1", "--count", "4", "--yes")[0] == IN_PART
    assert len(desk.site.names()) == 2, "four do not fit a group of three, so none is made"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nodearray", "htcc"), 'did you mean "htc"'),
        (("--nodearray", "htc", "--vm-size", "Standard_X"), 'has no "Standard_X"'),
        (("--nodearray", "htc", "--placement-group", "pg"), "it has none"),
    ],
)
def test_what_the_configuration_does_not_have_is_bad_input(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    assert desk.say("create", *arguments, "--yes")[0] == BAD_INPUT
    assert said in desk.err
    assert desk.site.created() == []


def test_a_dry_run_changes_nothing_and_nobody_to_ask_is_an_error(desk: Desk) -> None:
    names = with_machines(desk, 2)
    before = desk.site.ledger_path.read_bytes()
    for verb, *arguments in (
        ("create", "--nodearray", "htc"),
        ("delete", *names),
        ("drain", *names),
        ("protect", *names, "--reason", "x"),
        ("join", *names),
        ("remove", *names),
        ("retry-failed", "--all"),
    ):
        assert desk.say(verb, *arguments, "--dry-run")[0] == DONE
        if verb not in {"protect", "join"}:
            assert desk.say(verb, *arguments)[0] == BAD_INPUT
            assert "--yes" in desk.err
    assert desk.site.ledger_path.read_bytes() == before
    assert desk.site.deletes() == []


# delete


def test_deletes_go_through_close_look_and_delete_and_one_bad_name_stops_nothing(desk: Desk) -> None:
    names = with_machines(desk, 3)
    status, outcomes = desk.outcomes("delete", names[0], "site-htc-99", names[2], "--yes")
    assert status == IN_PART
    assert outcomes == {names[0]: "deleted", names[2]: "deleted", "site-htc-99": "unknown"}
    assert desk.site.deletes() == [names[0], names[2]]
    assert len(desk.site.scheduler.told("close")) == 2
    assert desk.site.records()[names[1]].state is MachineState.READY


def test_a_machine_with_a_job_stays_without_force_and_with_force_the_loss_is_told_first(desk: Desk) -> None:
    names = with_machines(desk, 2, busy=1)
    status, outcomes = desk.outcomes("delete", *names, "--yes")
    assert (status, outcomes) == (IN_PART, {names[0]: "kept", names[1]: "deleted"})
    assert desk.site.deletes() == [names[1]]
    status, outcomes = desk.outcomes("delete", names[0], "--force", "--yes")
    assert (status, outcomes) == (DONE, {names[0]: "deleted"})
    assert f"{names[0]} has work that will be lost: job1" in desk.err


def test_force_covers_only_the_jobs_that_were_told_of(desk: Desk) -> None:
    names = with_machines(desk, 1, busy=1)
    reads = desk.site.scheduler.reads
    desk.site.scheduler.before_read = lambda n: desk.site.scheduler.start("late", names[0]) if n == reads + 3 else None
    status, outcomes = desk.outcomes("delete", names[0], "--force", "--yes")
    assert (status, outcomes) == (IN_PART, {names[0]: "reopened"})
    assert desk.site.deletes() == []
    assert desk.site.scheduler.closed == set()


def test_force_does_not_cover_a_job_on_a_machine_that_was_shown_idle(desk: Desk) -> None:
    names = with_machines(desk, 1)
    reads = desk.site.scheduler.reads
    desk.site.scheduler.before_read = lambda n: desk.site.scheduler.start("late", names[0]) if n == reads + 2 else None
    assert desk.outcomes("delete", names[0], "--force", "--yes")[1] == {names[0]: "reopened"}
    assert desk.site.deletes() == []


def test_nothing_is_deleted_by_hand_on_half_a_picture(desk: Desk) -> None:
    names = with_machines(desk, 2)
    desk.site.scheduler.complete = False
    status, outcomes = desk.outcomes("delete", *names, "--yes")
    assert (status, set(outcomes.values())) == (IN_PART, {"kept"})
    assert desk.site.deletes() == []


def test_a_delete_by_hand_does_not_finish_what_others_began(desk: Desk) -> None:
    names = with_machines(desk, 2)
    with desk.site.world() as world:
        world.ledger.record_seen({names[1]: MachineState.CLOSING}, desk.site.clock.now())
    desk.outcomes("delete", names[0], "--yes")
    assert desk.site.deletes() == [names[0]]


def test_filters_speak_the_constraint_language_and_narrow_names(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(nodearrays={"a": {"buckets": [bucket()]}, "b": {"buckets": [bucket("Standard_F4s_v2")]}})
    for array in "ab":
        desk.say("create", "--nodearray", array, "--count", "2", "--yes")
    desk.site.boot()
    assert sorted(desk.outcomes("delete", "--filter", "node.nodearray=b", "--dry-run")[1]) == ["site-b-1", "site-b-2"]
    both = ("--filter", '{"or": [{"node.nodearray": "a"}, {"node.vm_size": "Standard_F4s_v2"}]}')
    assert len(desk.outcomes("delete", *both, "--dry-run")[1]) == 4
    assert desk.outcomes("delete", "site-a-2", *both, "--filter", "ncpus=4", "--dry-run")[1] == {
        "site-a-2": "would be done"
    }
    assert desk.say("delete", "--filter", '{"node.nodearry": "a"}', "--dry-run")[0] == BAD_INPUT
    assert "nodearray" in desk.err
    assert desk.say("delete", "--dry-run")[0] == BAD_INPUT, "silence never means all"


@pytest.mark.parametrize("text", ["nonsense", "=x", '{"a": '])
def test_a_filter_that_cannot_be_read_is_bad_input(text: str) -> None:
    with pytest.raises(InputError):
        parse_filters([text])


# protections


def test_protect_holds_every_hand_back_and_needs_a_reason_and_ends(desk: Desk) -> None:
    names = with_machines(desk, 1)
    assert desk.say("protect", names[0])[0] == BAD_INPUT
    assert desk.say("protect", names[0], "--reason", "debugging", "--for", "2h", "--owner", "ann")[0] == DONE
    _, listed = desk.say("protect", "--list")
    assert [(one["name"], one["owner"], one["reason"]) for one in listed] == [(names[0], "ann", "debugging")]
    for verb in (("delete", "--force"), ("drain",)):
        status, answer = desk.say(verb[0], names[0], *verb[1:], "--yes")
        assert status == IN_PART
        assert "is protected by ann" in answer["rows"][0]["detail"]
    desk.site.cycle()
    desk.site.advance(7300)
    desk.site.cycle()
    assert desk.say("protect", "--list")[1] == []
    assert desk.outcomes("delete", names[0], "--yes")[1] in ({names[0]: "deleted"}, {names[0]: "leaving already"})


def test_unprotect_takes_it_back_and_says_what_was_not_protected(desk: Desk) -> None:
    names = with_machines(desk, 2)
    desk.say("protect", names[0], "--reason", "x")
    assert desk.outcomes("unprotect", *names) == (IN_PART, {names[0]: "unprotected", names[1]: "kept"})
    assert desk.outcomes("delete", names[0], "--yes")[1] == {names[0]: "deleted"}


def test_protect_works_while_the_scheduler_is_away_and_beside_a_running_loop(desk: Desk) -> None:
    names = with_machines(desk, 1)
    desk.site.scheduler.failing["read"] = "slurmctld is away"
    with desk.site.world():
        assert desk.say("protect", names[0], "--reason", "x")[0] == DONE
    assert desk.say("delete", names[0], "--yes")[0] == UNAVAILABLE


@pytest.mark.parametrize("arguments", [("--for", "8 moons"), ("--until", "soon"), ("--until", "2001-01-01"),
                                       ("--for", "1h", "--until", "2099-01-01")])  # fmt: skip
def test_a_time_that_is_none_is_bad_input(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert desk.say("protect", "site-htc-1", "--reason", "x", *arguments)[0] == BAD_INPUT


# drain


def test_t20c_a_drained_machine_waits_for_its_work_over_cycles_and_then_leaves(desk: Desk) -> None:
    names = with_machines(desk, 2, busy=1)
    status, outcomes = desk.outcomes("drain", *names, "--reason", "bad DIMM", "--yes")
    assert (status, outcomes) == (DONE, {names[0]: "waits for its jobs", names[1]: "deleted"})
    for _ in range(3):
        desk.site.advance(60)
        report = desk.site.cycle()
        assert report.is_clean
        assert report.releases.reopened == []
    assert desk.site.deletes() == [names[1]]
    desk.site.scheduler.finish("job1")
    assert desk.site.cycle().releases.deleted == [names[0]]
    desk.site.advance(60)
    desk.site.cycle()
    with desk.site.ledger() as ledger:
        assert ledger.drains() == {}


def test_a_drain_beside_a_running_loop_is_carried_out_by_it(desk: Desk) -> None:
    names = with_machines(desk, 1)
    with desk.site.world():
        assert desk.outcomes("drain", names[0], "--yes") == (DONE, {names[0]: "drained"})
        assert desk.say("delete", names[0], "--yes")[0] == LOCK_HELD
        assert desk.say("create", "--nodearray", "htc", "--yes")[0] == LOCK_HELD
    assert desk.site.deletes() == []
    assert desk.site.cycle().releases.deleted == names


def test_a_drain_taken_back_opens_the_machine_again(desk: Desk) -> None:
    names = with_machines(desk, 1, busy=1)
    desk.outcomes("drain", names[0], "--yes")
    assert desk.site.scheduler.closed
    assert desk.outcomes("drain", names[0], "--undo") == (DONE, {names[0]: "taken back"})
    assert not desk.site.scheduler.closed
    assert desk.outcomes("drain", names[0], "--undo") == (IN_PART, {names[0]: "kept"})


def test_a_protection_beats_a_drain_that_waits(desk: Desk) -> None:
    names = with_machines(desk, 1, busy=1)
    desk.outcomes("drain", names[0], "--yes")
    desk.say("protect", names[0], "--reason", "x")
    desk.site.scheduler.finish("job1")
    for _ in range(2):
        desk.site.advance(IDLE_S)
        desk.site.cycle()
    assert desk.site.deletes() == []
    assert not desk.site.scheduler.closed


# join and remove


def test_removed_nodes_are_forgotten_by_the_scheduler_and_join_brings_them_back(desk: Desk) -> None:
    names = with_machines(desk, 2, busy=1)
    status, outcomes = desk.outcomes("remove", *names, "--yes")
    assert (status, outcomes) == (IN_PART, {names[0]: "kept", names[1]: "removed"})
    assert len(desk.site.scheduler.told("remove")) == 1
    assert desk.site.deletes() == []
    assert desk.outcomes("join", names[1]) == (DONE, {names[1]: "joined"})
    assert names[1] in desk.site.scheduler.told("add")


def test_a_job_that_lands_while_a_node_is_removed_keeps_it(desk: Desk) -> None:
    names = with_machines(desk, 1)
    reads = desk.site.scheduler.reads
    desk.site.scheduler.before_read = lambda n: desk.site.scheduler.start("late", names[0]) if n == reads + 3 else None
    assert desk.outcomes("remove", names[0], "--yes") == (IN_PART, {names[0]: "kept"})
    assert desk.site.scheduler.told("remove") == []
    assert not desk.site.scheduler.closed


# retry-failed


def sold_out(desk: Desk) -> None:
    desk.site.fault(kind="client_error", code="SkuNotAvailable", names=("site-htc-1",))
    desk.site.scheduler.submit("work")
    desk.site.cycle()
    desk.site.mend()


def test_what_was_refused_is_asked_for_again_at_once(desk: Desk) -> None:
    sold_out(desk)
    assert desk.site.cycle().asked == 0
    status, answer = desk.say("retry-failed", "--bucket", f"htc/{SIZE}", "--yes")
    assert status == DONE
    assert any("CAPACITY_BACKOFF" in row["detail"] for row in answer["rows"])
    assert desk.site.cycle().asked == 1


def test_other_buckets_stay_as_they_are_and_unknown_ones_are_told(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(nodearrays={"htc": {"buckets": [bucket(), bucket("Standard_F4s_v2")]}})
    with desk.site.world():
        """The ledger is there."""
    assert desk.say("retry-failed", "--bucket", "htc/Standard_F4s_v2", "--yes")[1]["rows"] == []
    assert desk.say("retry-failed", "--bucket", "htc/Standard_F4", "--yes")[0] == BAD_INPUT
    assert "did you mean" in desk.err
    assert desk.say("retry-failed", "--yes")[0] == BAD_INPUT


def test_failed_machines_are_deleted_so_that_others_are_made(desk: Desk) -> None:
    desk.site.fault(kind="provisioning_failure", names=("site-htc-1",), code="VMExtensionProvisioningError")
    desk.site.scheduler.submit("work")
    desk.site.cycle()
    desk.site.advance(15)
    assert desk.outcomes("retry-failed", "--all", "--yes")[1] == {"site-htc-1": "deleted"}


# history


def test_history_tells_machines_by_either_name_and_jobs_and_what_is_close(desk: Desk) -> None:
    names = with_machines(desk, 1)
    status, answer = desk.say("history", names[0])
    assert (status, answer["kind"]) == (DONE, "machine")
    assert answer["history"][0]["event"] == "intended"
    assert answer["history"][0]["at"].endswith("Z")
    node = desk.site.machine(names[0]).node_name
    assert desk.say("history", node)[1]["name"] == names[0]
    assert desk.say("history", "work")[1]["kind"] == "job"
    assert desk.say("history", "site-htc-11")[0] == BAD_INPUT
    assert 'did you mean "site-htc-1"' in desk.err


def test_the_table_is_readable(desk: Desk) -> None:
    names = with_machines(desk, 1)
    path = desk.site.directory / "autoscale.json"
    path.write_text(json.dumps(desk.site.document))
    desk.capsys.readouterr()
    assert main(["history", "-c", str(path), names[0]]) == DONE
    out = desk.capsys.readouterr().out
    assert "asked for" in out
    assert all(len(line) <= 80 for line in out.splitlines())
