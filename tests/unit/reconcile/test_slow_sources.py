"""A slow list of sizes or prices holds up no cycle: packaged facts stand in, it is told, and late answers are kept
(user asks T09e, T11, T17a)."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from unit.reconcile.fakes import SIZE, accepted

from autoscale_aks.cli import wiring
from autoscale_aks.cloud.aks.transport import HttpTransport, SendFailure, Sent
from autoscale_aks.cloud.gate import Gate
from autoscale_aks.reconcile import run_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unit.reconcile.fakes import Site

    from autoscale_aks.cloud.aks.transport import Request, Response
    from autoscale_aks.reconcile import World

HANGS_S = 60.0
"""Longer than any of these tests takes, unless somebody waits for what hangs."""
PATIENCE_S = 2.0
"""Long enough for what does not hang, on a machine that does other things, too."""


@dataclass
class Hold:
    """Requests for addresses with one of these words in them are kept back until somebody lets them go."""

    words: tuple[str, ...] = ()
    all_at: int = 0
    """Let go by itself once so many different ones wait."""
    open: threading.Event = field(default_factory=threading.Event)
    waiting: set[str] = field(default_factory=set)

    def take(self, url: str) -> bool:
        """Whether the request may go on."""
        if not any(word in url for word in self.words):
            return True
        self.waiting.add(url.partition("skiptoken")[0])
        if 0 < self.all_at <= len(self.waiting):
            self.open.set()
        return self.open.wait(HANGS_S)


class HeldTransport(HttpTransport):
    """Real HTTP, but for what is held."""

    def __init__(self, hold: Hold, **more: Any) -> None:
        super().__init__(**more)
        self._hold = hold

    def send(self, request: Request) -> Response | SendFailure:
        if not self._hold.take(request.url):
            return SendFailure(Sent.UNKNOWN, "it hung")
        return super().send(request)


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    found = Hold()
    monkeypatch.setattr(wiring, "HttpTransport", lambda **more: HeldTransport(found, **more))
    yield found
    found.open.set()


def patient(site: Site, seconds: float) -> Any:
    """The site's configuration, where a cycle waits so long for sizes and prices, first or not."""
    config, references = site.config, site.config.references
    rules = {"first_s": seconds, "refresh_s": seconds}
    catalogue = replace(references.catalogue, rule=replace(references.catalogue.rule, **rules))
    prices = replace(references.prices, rule=replace(references.prices.rule, **rules))
    return replace(config, references=replace(references, catalogue=catalogue, prices=prices))


@contextmanager
def resident(site: Site, seconds: float = PATIENCE_S) -> Iterator[World]:
    with wiring.opened_world(patient(site, seconds), site.clock, Gate(site.clock.now)) as world:
        yield world


def priced(make_site: Callable[..., Site], **more: Any) -> Site:
    site = make_site(nodearrays={"htc": {"buckets": [{"vm_size": SIZE}]}}, **more)
    site.document["prices"] = {"url": site.emulator.base_url}
    return site


def offered(report: Any) -> Any:
    (array,) = report.observation.snapshot.nodearrays
    return array.offerings[0]


@pytest.mark.parametrize(
    ("word", "what", "price"),
    [("/skus?", "VM sizes of eastus2", Fraction("0.192")), ("/retail/", "prices of eastus2", None)],
    ids=["sizes", "prices"],
)
def test_a_cycle_ends_while_a_list_hangs_tells_of_it_and_uses_the_packaged_facts(
    make_site: Callable[..., Site], hold: Hold, word: str, what: str, price: Fraction | None
) -> None:
    site = priced(make_site)
    hold.words = (word,)
    site.scheduler.submit("work")
    with resident(site) as world:
        report = run_cycle(world)
        assert hold.waiting
        assert not hold.open.is_set()  # nobody let it go: the cycle ended without it
    assert len(accepted(report)) == 1
    assert (offered(report).vcpu_count, offered(report).price) == (4, price)  # no packaged price here: unknown, not 0
    (said,) = [notice for notice in report.observation.notices if notice.startswith(what)]
    assert "could not be read: no answer within 2 s" in said
    assert "the packaged table is used" in said  # where it has a price, for prices
    assert what not in {source.name for source in report.observation.references}


def test_an_answer_that_comes_late_is_there_for_the_next_cycle(make_site: Callable[..., Site], hold: Hold) -> None:
    site = priced(make_site)
    hold.words = ("/skus?", "/retail/")
    with resident(site) as world:
        run_cycle(world)
        hold.open.set()
        assert world.reference.linger(HANGS_S)  # type: ignore[union-attr]
        report = run_cycle(world)
    assert {"VM sizes of eastus2", "prices of eastus2"} <= {one.name for one in report.observation.references}
    assert not [notice for notice in report.observation.notices if "could not be read" in notice]


def test_everything_is_asked_for_at_once_however_many_locations(make_site: Callable[..., Site], hold: Hold) -> None:
    nodearrays = {
        place: {"location": place, "buckets": [{"vm_size": SIZE}]} for place in ("eastus2", "westeurope", "westus3")
    }
    site = make_site(nodearrays=nodearrays)
    site.document["prices"] = {"url": site.emulator.base_url}
    hold.words, hold.all_at = ("/skus?", "/usages?", "/retail/"), 9
    with resident(site, seconds=HANGS_S / 2) as world:
        run_cycle(world)
    assert hold.open.is_set()  # the first of them was let go when all nine had been asked


def test_a_run_of_a_cron_job_keeps_what_comes_soon_after_it(make_site: Callable[..., Site], hold: Hold) -> None:
    site = priced(make_site)
    hold.words = ("/skus?",)
    with wiring.writing_world(patient(site, PATIENCE_S), site.clock) as world:
        run_cycle(world)
        hold.open.set()
    hold.open.clear()
    site.advance(301)
    with resident(site) as world:
        report = run_cycle(world)
    (source,) = [one for one in report.observation.references if one.name == "VM sizes of eastus2"]
    assert source.age_s == pytest.approx(301, abs=15)


def test_the_next_run_does_not_wait_again_for_a_list_that_hung(make_site: Callable[..., Site], hold: Hold) -> None:
    site = priced(make_site)
    hold.words = ("/skus?",)
    with resident(site) as world:
        run_cycle(world)
    hold.waiting.clear()
    site.advance(60)
    with resident(site, seconds=HANGS_S / 2) as world:
        report = run_cycle(world)
    assert not hold.waiting
    assert any("no answer within 2 s" in notice for notice in report.observation.notices)
    site.advance(300)
    with resident(site) as world:
        run_cycle(world)
    assert hold.waiting


def test_a_cycle_near_its_deadline_waits_for_no_list(make_site: Callable[..., Site], hold: Hold) -> None:
    site = priced(make_site)
    hold.words = ("/skus?", "/usages?")
    with resident(site, seconds=HANGS_S / 2) as world:
        report = run_cycle(world, until=site.clock.now() + 0.2)
        assert not hold.open.is_set()
    assert any("quota of eastus2 could not be read" in notice for notice in report.observation.notices)


def test_what_is_never_young_is_asked_for_once_a_cycle_and_is_not_said_to_be_old(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(quota={"max_age_s": 0})
    with resident(site) as world:
        for turn in (1, 2):
            report = run_cycle(world)
            assert len(site.requests("usage.list")) == turn
            assert len(site.requests("pool.list")) == turn
            assert not [notice for notice in report.observation.notices if "could not be read" in notice]
            site.advance(15)
