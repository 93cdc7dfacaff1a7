"""`azaks run` without its process: real cycles on an emulator, time and signals in the test's hand."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import config_document
from unit.reconcile.site_fixture import make_site, site

from autoscale_aks.cli import wiring
from autoscale_aks.cloud.gate import Gate
from autoscale_aks.config import parse_config
from autoscale_aks.errors import ConfigError, LedgerError, LockHeldError, LockLostError, Problem
from autoscale_aks.ledger.lock import holder
from autoscale_aks.ledger.records import MachineState
from autoscale_aks.ledger.store import Ledger
from autoscale_aks.loop import Resident, Station, Wake
from autoscale_aks.loop.lines import render_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unit.reconcile.fakes import Site

    from autoscale_aks.config import Config
    from autoscale_aks.reconcile import World

__all__ = ["make_site", "site"]


@dataclass
class Tower:
    """Runs a site's cycles; `between` is what happens while the program waits, one entry a wait, then it is stopped."""

    site: Site
    between: list[Callable[[], object]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    opened: int = 0
    reload: bool = False
    loads: list[Callable[[], Config]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = Gate(self.site.clock.now)

    def wait(self, seconds: float) -> Wake:
        self.waits.append(seconds)
        self.site.advance(seconds)
        if not self.between:
            self.gate.close("the test is over")
            return Wake.SIGNAL
        self.between.pop(0)()
        return Wake.INTERVAL

    def load(self) -> Config:
        return self.loads.pop(0)()

    def reload_asked(self) -> bool:
        asked, self.reload = self.reload, False
        return asked

    @contextmanager
    def open_world(self, config: Config) -> Iterator[World]:
        self.opened += 1
        with wiring.opened_world(config, self.site.clock, self.gate) as world:
            yield world

    def run(self, interval_s: float = 30.0) -> int:
        config = self.site.config
        station = Station(
            open_world=self.open_world,
            load=self.load,
            remember=wiring.remember,
            reload_asked=self.reload_asked,
            clock=self.site.clock,
            gate=self.gate,
            waiter=self,
        )
        with wiring.writing_locks(config, self.site.clock, self.gate) as heart:
            cycles = Resident(station, interval_s=interval_s).run(config)
            heart.check()
        return cycles


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """The lines of the cycles, taken apart at their blanks."""
    return [
        dict(pair.split("=", 1) for pair in record.getMessage().split() if "=" in pair)
        for record in caplog.records
        if record.name == "autoscale_aks.cycle" and "cycle=" in record.getMessage()
    ]


@pytest.fixture(autouse=True)
def _talkative(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "autoscale_aks.cycle")


def nothing() -> None:
    """A quiet interval."""


def test_a_cycle_an_interval_on_ports_that_stay_open_and_a_line_each(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.scheduler.submit("work", iterations=3)
    tower = Tower(site, [nothing, nothing])
    assert tower.run() == 3
    assert (tower.opened, tower.waits) == (1, pytest.approx([29.0, 30.0, 30.0], abs=1.5))
    first, *_ = told = lines(caplog)
    assert [(line["cycle"], line["status"], line["accepted"]) for line in told] == [
        ("1", "ok", "3"),
        ("2", "ok", "0"),
        ("3", "ok", "0"),
    ]
    with site.ledger() as ledger:
        assert [line["plan"] for line in reversed(told)] == [cycle.plan_id for cycle in ledger.cycles()]
    assert first["nodes"] == "0"
    assert holder(site.ledger_path) is None


def test_a_cycle_that_takes_longer_than_the_interval_is_followed_at_once(site: Site) -> None:
    site.scheduler.before_read = lambda _: site.advance(100.0)
    tower = Tower(site, [nothing])
    tower.run(interval_s=30.0)
    assert tower.waits == [0.0, 0.0]


def test_a_clock_that_is_set_back_does_not_make_the_wait_longer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([5000.0] * 8)
    now = site.clock.now
    tower = Tower(site)

    def early(_: int) -> None:
        monkeypatch.setattr(type(site.clock), "now", lambda _: next(moments, 5000.0))

    site.scheduler.before_read = early
    assert now() > 1e9
    tower.run(interval_s=30.0)
    assert tower.waits == [30.0]


def test_a_scheduler_that_is_away_costs_one_cycle_and_the_next_one_works(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.scheduler.submit("work", iterations=2)
    site.scheduler.failing["read"] = "slurmctld is away"
    tower = Tower(site, [site.scheduler.failing.clear])
    assert tower.run() == 2
    assert [line["status"] for line in lines(caplog)] == ["failed", "ok"]
    failed = next(record for record in caplog.records if "status=failed" in record.getMessage())
    assert failed.levelno == logging.ERROR
    assert 'error="SchedulerError: slurmctld is away"' in failed.getMessage()
    assert "plan=-" not in failed.getMessage()
    assert len(site.names()) == 2


def test_a_cloud_that_is_away_costs_one_cycle_and_the_next_one_works(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.scheduler.submit("work", iterations=2)
    site.fault(kind="error_before", operations=("machine.list",), status=500)
    tower = Tower(site, [site.mend])
    tower.run()
    assert [line["status"] for line in lines(caplog)] == ["cloud-unavailable", "ok"]
    assert len(site.names()) == 2


@pytest.mark.parametrize("how", ["deleted", "put back garbled"])
def test_a_ledger_that_is_lost_while_the_program_runs_is_begun_anew_and_nothing_is_doubled(
    site: Site, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    site.scheduler.submit("work", iterations=3)

    def lose() -> None:
        content = site.ledger_path.read_bytes()
        site.ledger_path.unlink()
        if how != "deleted":
            site.ledger_path.touch(0o600)
            site.ledger_path.write_bytes(content[:100] + b"\xff" * 3000)

    tower = Tower(site, [lose, nothing])
    tower.run()
    assert [line["status"] for line in lines(caplog)] == ["ok", "ok", "ok"]
    assert (tower.opened, "taken away or replaced" in caplog.text) == (2, True)
    assert ("was damaged" in caplog.text) == (how != "deleted")
    assert len(site.created()) == len(site.names()) == len(site.records()) == 3


def test_a_ledger_that_cannot_be_written_costs_one_cycle_and_is_opened_anew(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LedgerError("no space is left")

    site.scheduler.submit("work", iterations=3)
    record_intents = Ledger.record_intents
    monkeypatch.setattr(Ledger, "record_intents", full)
    tower = Tower(site, [lambda: monkeypatch.setattr(Ledger, "record_intents", record_intents)])
    tower.run()
    assert [line["status"] for line in lines(caplog)] == ["failed", "ok"]
    assert (tower.opened, len(site.created())) == (2, 3)


def test_what_was_learned_is_kept_after_every_cycle(site: Site) -> None:
    site.scheduler.submit("work", iterations=3)
    kept: list[float | None] = []

    def look() -> None:
        with site.ledger() as ledger:
            kept.append(ledger.not_before())

    tower = Tower(site, [look])
    site.fault(kind="throttle", operations=("machine.list",), after_s=900.0)
    tower.run()
    assert kept[0] is not None
    assert kept[0] > site.clock.now()


# The configuration is read again


def _parsed(site: Site, document: dict[str, Any]) -> Config:
    return parse_config(json.dumps(document), site.config.source)


def test_sighup_brings_the_new_configuration_with_the_next_cycle(site: Site) -> None:
    capped = config_document(site.emulator.base_url)["nodearrays"]
    capped["htc"]["max_count"] = 2
    tower = Tower(site, loads=[lambda: _parsed(site, {**site.document, "nodearrays": capped})])

    def ask() -> None:
        site.scheduler.submit("work", iterations=5)
        tower.reload = True

    tower.between = [ask, nothing]
    tower.run()
    assert len(site.names()) == 2
    assert tower.opened == 2


def refuse() -> Config:
    raise ConfigError([Problem("nodearrays.htc", "has no buckets")])


def test_a_configuration_with_mistakes_is_refused_and_the_old_one_stays(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    tower = Tower(site, loads=[refuse])

    def ask() -> None:
        site.scheduler.submit("work", iterations=2)
        tower.reload = True

    tower.between = [ask]
    tower.run()
    assert "the new configuration is refused, the old one stays: nodearrays.htc: has no buckets" in caplog.text
    assert (len(site.names()), tower.opened) == (2, 1)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"ledger": {"path": "other.sqlite"}}, "ledger.path"),
        ({"loop": {"lease": {}}}, "loop.lease"),
        ({"loop": {"wake_socket": "w"}}, "loop.wake_socket"),
        ({"logging": {"level": "DEBUG"}}, "logging"),
    ],
)
def test_what_a_running_program_cannot_follow_is_refused_with_a_next_step(
    site: Site, caplog: pytest.LogCaptureFixture, change: dict[str, Any], path: str
) -> None:
    tower = Tower(site, loads=[lambda: _parsed(site, {**site.document, **change})])

    def ask() -> None:
        tower.reload = True

    tower.between = [ask]
    tower.run()
    assert f"{path}: cannot change while the program runs; stop it and start it again" in caplog.text
    assert tower.opened == 1


# Stopped, late, or robbed


def many(make_site: Callable[..., Site], **loop: Any) -> Site:
    """A site that sends one request after another: 120 machines are three chunks and more."""
    site = make_site(loop=loop) if loop else make_site()
    site.document["aks"]["workers"] = 1
    return site


def stop_after_first_put(site: Site, stop: Callable[[], object]) -> None:
    """Let something happen while the first PUT is being answered."""
    put, done = site.emulator._service.put_machine, []

    def once(*arguments: Any) -> Any:
        if not done:
            done.append(stop())
        return put(*arguments)

    site.emulator._service.put_machine = once  # type: ignore[method-assign]


def states(site: Site) -> dict[MachineState, int]:
    found = [record.state for record in site.records(gone=True).values()]
    return {state: found.count(state) for state in set(found)}


def test_a_stop_in_the_middle_of_a_cycle_ends_after_the_request_under_way_and_nothing_is_half_recorded(
    make_site: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    site = many(make_site)
    site.scheduler.submit("work", iterations=120)
    tower = Tower(site, [nothing])
    stop_after_first_put(site, lambda: tower.gate.close("stopped by SIGTERM"))
    assert tower.run() == 1
    made = len(site.names())
    assert (len(site.puts()), 0 < made < 120) == (1, True)
    assert states(site) == {MachineState.ACCEPTED: made, MachineState.REJECTED: 120 - made}
    assert lines(caplog)[0]["status"] == "incomplete"
    assert holder(site.ledger_path) is None
    again = Tower(site, [nothing])
    again.run()
    assert len(site.names()) == 120
    assert len(site.created()) == 120


def test_a_cycle_over_its_deadline_sends_nothing_more_and_the_next_cycle_does_the_rest(
    make_site: Callable[..., Site],
) -> None:
    site = many(make_site, cycle_deadline_s=60)
    site.scheduler.submit("work", iterations=120)
    tower = Tower(site, [nothing])
    stop_after_first_put(site, lambda: site.advance(61.0))
    assert tower.run() == 2
    assert len(site.created()) == len(site.names()) == 120
    with Ledger.open(site.ledger_path, now=site.clock.now(), read_only=True) as ledger:
        assert [cycle.status for cycle in ledger.cycles()] == ["ok", "incomplete"]
        (message,) = {record.error_message for record in ledger.machines(True) if record.error_message}
    assert "over its deadline of 60 s" in message


def test_nothing_is_let_go_in_a_cycle_that_is_stopped(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.scheduler.submit("work", iterations=2)
    site.cycle()
    site.boot()
    site.cycle()
    site.scheduler.finish()
    site.cycle()
    site.advance(1000.0)
    tower = Tower(site)
    site.scheduler.before_read = lambda _: tower.gate.close("stopped by SIGTERM")
    tower.run()
    assert (site.deletes(), site.scheduler.told("close")) == ([], [])
    assert "nothing was let go: stopped by SIGTERM" in caplog.text


def test_a_run_whose_lock_is_taken_over_sends_nothing_more_and_says_so(make_site: Callable[..., Site]) -> None:
    site = many(make_site)
    site.scheduler.submit("work", iterations=120)
    tower = Tower(site, [nothing, nothing])

    def rob() -> None:
        site.ledger_path.with_name("ledger.sqlite.lock").unlink()
        heart.beat()

    stop_after_first_put(site, rob)
    gate = tower.gate
    with wiring.writing_locks(site.config, site.clock, gate) as heart:
        station = Station(
            open_world=tower.open_world,
            load=refuse,
            remember=wiring.remember,
            reload_asked=tower.reload_asked,
            clock=site.clock,
            gate=gate,
            waiter=tower,
        )
        assert Resident(station, interval_s=30.0).run(site.config) == 1
        with pytest.raises(LockLostError, match="was taken over"):
            heart.check()
    assert len(site.puts()) == 1


def test_a_lease_keeps_a_second_head_with_a_ledger_of_its_own_away(make_site: Callable[..., Site]) -> None:
    one = make_site(loop={"lease": {}})
    two = replace(one, directory=one.directory / "head-2")
    two.directory.mkdir()
    one.scheduler.submit("work", iterations=4)
    with one.world(), pytest.raises(LockHeldError, match=r"is the writer since .* lease kube-system/azaks-site"):
        two.cycle()
    assert not two.ledger_path.exists()
    one.cycle()
    two.scheduler = one.scheduler
    assert two.cycle().plan.claims == (), "the other head finds the machines by their marks"
    assert len(one.created()) == 4


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "a=3"), (0.12345, "a=0.123"), ("ok", "a=ok"), ("two words", 'a="two words"'), ("", 'a=""'), ('"', 'a="\\""')],
)
def test_a_line_can_be_split_again(value: object, shown: str) -> None:
    assert render_line({"a": value}) == shown
    assert render_line({"b": 1, "a": value}) == f"b=1 {shown}"
