"""5xx, resets, late and senseless answers, before and after the work was done (batching.md B9, §11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults.fault_rig import POOL, PUTS, chunks, names_of, refusals, settle, template_of
from unit.reconcile.fakes import claimed

from autoscale_aks.cloud.aks.client import ClientSettings
from autoscale_aks.cloud.aks.scale import Watch
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits

if TYPE_CHECKING:
    from typing import Any

    from faults.fault_rig import Rig
    from unit.reconcile.fakes import Site

LATE_S = 1.0
"""Wall seconds by which an answer is late."""
IMPATIENT = ClientSettings(workers=4, timeout_s=0.3)

BROKEN: list[tuple[str, dict[str, Any]]] = [
    (f"{status} {when}", {"kind": f"error_{when}", "status": status})
    for status in (500, 502, 503, 504, 408)
    for when in ("before", "after")
]
BROKEN += [
    ("reset before", {"kind": "reset_before"}),
    ("reset after", {"kind": "reset_after"}),
    ("HTML after", {"kind": "error_after", "status": 502, "body": "<html><body>Bad Gateway</body></html>"}),
    ("half a JSON after", {"kind": "error_after", "status": 500, "body": '{"code":"BatchMachineInternalServ'}),
    ("400 without a code after", {"kind": "error_after", "status": 400, "body": '{"message":"no"}'}),
    ("a list for an error after", {"kind": "error_after", "status": 400, "body": "[1, 2, 3]"}),
    ("an empty body after", {"kind": "error_after", "status": 500, "body": ""}),
    ("200 and HTML after", {"kind": "error_after", "status": 200, "body": "<html>welcome</html>"}),
    ("202 and nothing before", {"kind": "error_before", "status": 202, "body": ""}),
    ("200 and nothing before", {"kind": "error_before", "status": 200, "body": "{}"}),
    ("a redirect before", {"kind": "error_before", "status": 307, "body": ""}),
]
WAYS = pytest.mark.parametrize("rule", [rule for _, rule in BROKEN], ids=[name for name, _ in BROKEN])


@WAYS
@pytest.mark.parametrize("form", HeaderForm)
def test_one_broken_batch_is_listed_and_only_what_is_missing_is_made(
    rig: Rig, rule: dict[str, Any], form: HeaderForm
) -> None:
    rig.fault(operations=("machine.batch_put",), names=("m-1-0",), count=1, **rule)
    requests = chunks(3, 6)
    outcomes = rig.client(ClientSettings(header=HeaderLimits(form=form))).create_machines(requests)
    assert refusals(outcomes) == {}
    resent = {name for entry in rig.requests("machine.put") for name in entry.names}
    assert resent == (set() if rule["kind"].endswith("after") else set(names_of(requests[1:2])))
    settle(rig, requests, outcomes)


@WAYS
def test_single_puts_that_break_are_listed_and_made_once(rig: Rig, rule: dict[str, Any]) -> None:
    for index in (0, 2):
        rig.fault(operations=("machine.put",), names=(f"m-0-{index}",), count=1, **rule)
    requests = chunks(1, 4)
    outcomes = rig.client().launch(requests, workers=2, batch=False)
    assert refusals(outcomes) == {}
    settle(rig, requests, outcomes)


@WAYS
def test_puts_that_break_for_good_are_lost_neither_by_us_nor_by_the_next_run(rig: Rig, rule: dict[str, Any]) -> None:
    rig.fault(operations=PUTS, names=("m-0-*",), **rule)
    requests = chunks(2, 4)
    outcomes = rig.client().create_machines(requests)
    assert {name for name in refusals(outcomes) if name.startswith("m-1-")} == set()
    settle(rig, requests, outcomes)


@WAYS
def test_when_the_proof_breaks_too_nothing_is_claimed_and_nothing_is_lost(rig: Rig, rule: dict[str, Any]) -> None:
    client = rig.client()
    requests = chunks(2, 3)
    rig.fault(operations=("machine.batch_put",), names=("m-0-0",), **rule)

    def no_more_lists(_: object) -> None:
        rig.fault(kind="error_before", status=503, operations=("machine.list",))

    outcomes = client.create_machines(requests, no_more_lists)
    assert set(refusals(outcomes)) == set(names_of(requests))
    assert {each.state.value for each in refusals(outcomes).values()} == {"unknown"}
    settle(rig, requests, outcomes)


@pytest.mark.parametrize("kind", ["slow", "slow_after"])
@pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
def test_answers_later_than_the_timeout_leave_every_machine_made_once(rig: Rig, kind: Any, batch: bool) -> None:
    """§11: a client timeout does not mean that nothing was created; the work may even be done after the list."""
    rig.fault(kind=kind, operations=PUTS, names=("m-0-0", "m-2-1"), after_s=LATE_S, count=2)
    requests = chunks(3, 3)
    outcomes = rig.client(IMPATIENT).launch(requests, workers=4, batch=batch)
    settle(rig, requests, outcomes)
    assert {entry.fault for entry in rig.requests(*PUTS)} == {None, kind}


@pytest.mark.parametrize(
    "rule",
    [{"kind": "reset_before"}, {"kind": "reset_after"}, {"kind": "error_before", "status": 503},
     {"kind": "error_after", "status": 500}],
    ids=lambda rule: rule["kind"],
)  # fmt: skip
def test_deletes_that_break_are_unknown_and_the_next_run_finishes_them(rig: Rig, rule: dict[str, Any]) -> None:
    client = rig.client()
    client.create_machines(chunks(3, 40))
    names = sorted(rig.alive())[:80]
    rig.fault(operations=("machine.delete",), names=(names[0],), **rule)
    outcome = client.delete_machines(POOL, names)
    unknown = {each.name for each in outcome.refused}
    assert unknown == set(names[:50])
    assert {each.state.value for each in outcome.refused} == {"unknown"}
    assert rig.alive().isdisjoint(outcome.accepted)
    rig.mend()
    again = client.delete_machines(POOL, names)
    assert (set(again.accepted), again.refused) == (set(names), ())
    rig.advance()
    assert len(rig.machines()) == 120 - 80


@pytest.mark.parametrize("kind", ["reset_after", "error_after", "error_before", "reset_before"])
def test_scale_machine_over_broken_answers_counts_what_is_there(rig: Rig, kind: Any) -> None:
    rig.fault(kind=kind, operations=("machine.batch_put",), names=("s-10",), count=1)
    names = [f"s-{index}" for index in range(40)]
    record = rig.client().scale_machine(template_of(), 40, 4, names=names, watch=Watch(timeout_s=0))
    assert (record.successful_machines, record.failed_machines) == (40, ())
    assert rig.alive() == set(names)
    assert rig.doubled() == {}


def test_a_pool_whose_put_breaks_is_looked_for_and_not_put_again(rig: Rig) -> None:
    rig.fault(kind="reset_after", operations=("pool.put",), count=1)
    rig.client().ensure_pool("np2")
    rig.client().ensure_pool("np2")
    assert len(rig.requests("pool.put")) == 1
    assert [pool.name for pool in rig.server.state.pools()] == [POOL, "np2"]


@WAYS
def test_a_cycle_whose_answers_break_is_put_right_by_the_next(site: Site, rule: dict[str, Any]) -> None:
    site.scheduler.submit("array", iterations=60)
    site.fault(operations=PUTS, count=3, **rule)
    site.cycle()
    site.mend()
    site.advance(150)
    site.cycles(3, every_s=90.0)
    site.boot()
    assert claimed(site.cycle().plan) == []
    assert (len(site.names()), set(site.records())) == (60, set(site.names()))
    assert set(site.emulator.state.pools()[0].generations.values()) == {1}
