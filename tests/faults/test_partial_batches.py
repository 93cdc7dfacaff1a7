"""Half a batch fails, in every way that is written down (aks-machine-api.md §4.1, §4.3, §5.2, §5.3; user ask T11)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from faults.fault_rig import (
    POOL,
    PUTS,
    Interrupted,
    by_state,
    chunks,
    is_put,
    names_of,
    refusals,
    settle,
    template_of,
)
from unit.reconcile.fakes import claimed

from autoscale_aks.cloud.aks.client import ClientSettings
from autoscale_aks.cloud.aks.scale import Watch
from autoscale_aks.cloud.aks.wire import HeaderForm, HeaderLimits
from autoscale_aks.emulator.failures import QUOTA_FAULTS
from autoscale_aks.model.launch import FaultKind, LaunchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.fault_rig import Rig
    from unit.reconcile.fakes import Site

CLIENT = {"kind": "client_error", "every": 2, "names": ("m-0-*",)}
INTERNAL = {"kind": "internal_error", "every": 2, "names": ("m-0-*",)}
ODD = {f"m-0-{index}" for index in range(1, 10, 2)}

FORMS = pytest.mark.parametrize("form", HeaderForm)


def form_of(form: HeaderForm) -> ClientSettings:
    return ClientSettings(workers=4, header=HeaderLimits(form=form))


# The two batch errors, §5.2


@FORMS
@pytest.mark.parametrize(
    ("rules", "status", "gone"),
    [
        ([CLIENT], 400, ODD),
        ([INTERNAL], 500, ODD),
        ([{**CLIENT, "names": ("m-0-1", "m-0-4"), "every": 1}, INTERNAL], 400, ODD | {"m-0-4"}),
        ([{**CLIENT, "names": ("m-0-0",), "every": 1}], 400, {"m-0-0"}),
        ([{**INTERNAL, "names": ("m-0-0",), "every": 1}], 500, {"m-0-0"}),
        ([{**CLIENT, "every": 1}], 400, {f"m-0-{index}" for index in range(10)}),
        ([{**INTERNAL, "every": 1}], 500, {f"m-0-{index}" for index in range(10)}),
    ],
    ids=["client errors", "internal errors", "both", "URL machine", "URL machine, internal", "all", "all, internal"],
)  # fmt: skip
def test_the_named_machines_are_refused_and_all_others_are_there(
    rig: Rig, form: HeaderForm, rules: list[dict[str, Any]], status: int, gone: set[str]
) -> None:
    for rule in rules:
        rig.fault(**rule)
    requests = chunks(2, 10)
    outcomes = rig.client(form_of(form)).create_machines(requests)
    assert by_state(outcomes, LaunchState.REJECTED) == gone
    assert rig.alive() == set(names_of(requests)) - gone
    assert rig.statuses("machine.batch_put") == {200: 1, status: 1}
    settle(rig, requests, outcomes)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("SkuNotAvailable", "", FaultKind.CAPACITY),
        ("OperationNotAllowed", "exceeding approved standardDSv5Family Cores quota.", FaultKind.QUOTA),
        ("InternalOperationError", "", FaultKind.TRANSIENT),
        ("SomethingNew", "", FaultKind.UNKNOWN),
    ],
)
def test_each_refusal_keeps_its_own_code_and_kind(rig: Rig, code: str, message: str, kind: FaultKind) -> None:
    rig.fault(kind="client_error", names=("m-0-2",), code=code, message=message)
    requests = chunks(1, 5)
    outcomes = rig.client().create_machines(requests)
    assert {name: (each.code, each.kind) for name, each in refusals(outcomes).items()} == {"m-0-2": (code, kind)}
    settle(rig, requests, outcomes)


def detail(target: object, code: str = "InvalidParameter") -> dict[str, object]:
    return {"code": code, "message": "is not valid here", "target": target}


def client_error(details: object) -> str:
    return json.dumps({"code": "BatchMachineClientError", "message": "some machines failed", "details": details})


def internal_error(message: object) -> str:
    return json.dumps({"code": "BatchMachineInternalServerError", "message": message})


LIES = {
    "no details": (400, client_error([])),
    "details null": (400, client_error(None)),
    "details a text": (400, client_error("m-0-1")),
    "a detail without target": (400, client_error([detail("m-0-1"), {"code": "InvalidParameter"}])),
    "a detail naming a stranger": (400, client_error([detail("m-0-1"), detail("somebody-else")])),
    "a detail naming a number": (400, client_error([detail(1)])),
    "a message that is no JSON": (500, internal_error("m-0-1 failed")),
    "a message without details": (500, internal_error("{}")),
    "a message that is an object": (500, internal_error({"details": [detail("m-0-1")]})),
    "half a message": (500, internal_error('{"details":[{"code":"Intern')),
    "a stranger in the message": (500, internal_error(json.dumps({"details": [detail("somebody-else")]}))),
}


@pytest.mark.parametrize(("status", "body"), LIES.values(), ids=LIES)
def test_a_batch_error_against_its_rules_is_believed_in_nothing_and_the_list_decides(
    rig: Rig, status: int, body: str
) -> None:
    """Half the batch was made, and the answer does not say which half."""
    rig.fault(**CLIENT)
    rig.fault(kind="error_after", operations=("machine.batch_put",), names=("m-0-0",), status=status, body=body)
    requests = chunks(2, 10)
    outcomes = rig.client().create_machines(requests)
    assert by_state(outcomes, LaunchState.ACCEPTED) >= set(names_of(requests[1:])) | {"m-0-0", "m-0-2"}
    assert by_state(outcomes, LaunchState.UNKNOWN) == set()
    settle(rig, requests, outcomes)


def test_a_batch_error_in_arms_envelope_is_read_all_the_same(rig: Rig) -> None:
    rig.fault(**{**CLIENT, "names": ("m-0-1",), "every": 1})
    body = json.dumps({"error": json.loads(client_error([detail("m-0-1")]))})
    rig.fault(kind="error_after", operations=("machine.batch_put",), names=("m-0-0",), status=400, body=body)
    requests = chunks(2, 10)
    outcomes = rig.client().create_machines(requests)
    assert by_state(outcomes, LaunchState.REJECTED) == {"m-0-1"}
    settle(rig, requests, outcomes)


def test_an_error_that_names_machines_which_were_made_after_all_loses_none(rig: Rig) -> None:
    """The list is the last word, also against a well-formed refusal."""
    body = client_error([detail("m-0-1"), detail("m-0-3")])
    rig.fault(kind="error_after", operations=("machine.batch_put",), names=("m-0-0",), status=400, body=body)
    requests = chunks(2, 10)
    outcomes = rig.client().create_machines(requests)
    assert refusals(outcomes) == {}
    settle(rig, requests, outcomes)


def test_an_error_that_leaves_out_machines_which_were_not_made_makes_them_alone(rig: Rig) -> None:
    """Unlisted means created (§5.2); the list shows that it was not so."""
    rig.fault(**{**CLIENT, "count": 5})
    body = client_error([detail("m-0-1")])
    rig.fault(kind="error_after", operations=("machine.batch_put",), names=("m-0-0",), status=400, body=body)
    requests = chunks(2, 10)
    outcomes = rig.client().create_machines(requests)
    assert by_state(outcomes, LaunchState.REJECTED) == {"m-0-1"}
    assert {name for entry in rig.requests("machine.put") for name in entry.names} == ODD - {"m-0-1"}
    settle(rig, requests, outcomes)


# The whole batch, §5.2 and §4.5


@FORMS
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "size_not_supported"},
        {"kind": "error_before", "status": 400, "code": "InvalidParameter"},
        {"kind": "error_before", "status": 409, "code": "OperationNotAllowed"},
        {"kind": "error_before", "status": 403, "code": "AuthorizationFailed"},
        {"kind": "error_before", "status": 400, "body": "<html>Request Header Or Cookie Too Large</html>"},
        {"kind": "error_before", "status": 431, "body": "<html>Header fields too large</html>"},
    ],
    ids=["size", "shared property", "conflict", "forbidden", "header 400", "header 431"],
)
def test_a_batch_refused_as_a_whole_leaves_nothing_of_it_and_all_of_the_others(
    rig: Rig, form: HeaderForm, rule: dict[str, Any]
) -> None:
    selector = {} if rule["kind"] == "size_not_supported" else {"operations": PUTS, "names": ("m-1-*",)}
    odd_size = template_of(vm_size="Standard_D8s_v5")
    requests = chunks(3, 6)
    if not selector:
        selector = {"sizes": ("Standard_D8s_v5",)}
        requests = [requests[0], chunks(2, 6, odd_size)[1], requests[2]]
    rig.fault(**rule, **selector)
    outcomes = rig.client(form_of(form)).create_machines(requests)
    assert set(refusals(outcomes)) == set(names_of(requests[1:2]))
    assert rig.alive() == set(names_of([requests[0], requests[2]]))
    settle(rig, requests, outcomes)


def test_a_header_that_the_way_cannot_carry_makes_nothing_twice(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(header_cap_bytes=2500)
    requests = chunks(1, 50)
    outcomes = rig.client().create_machines(requests)
    assert rig.statuses("unknown", *PUTS) == {431: 1, 200: 50}, "one by one"
    settle(rig, requests, outcomes)


def test_a_header_budget_that_knows_the_way_needs_no_single_puts(make_rig: Callable[..., Rig]) -> None:
    """B5: the parts of a chunk are as few as fit."""
    rig = make_rig(header_cap_bytes=2500)
    requests = chunks(1, 50)
    outcomes = rig.client(ClientSettings(header=HeaderLimits(budget_bytes=1800))).create_machines(requests)
    assert rig.statuses("unknown", *PUTS) == {200: outcomes[0].puts}
    assert outcomes[0].puts < 5
    settle(rig, requests, outcomes)


# The header is ignored, §4.1


@FORMS
@pytest.mark.parametrize("workers", [1, 4])
def test_a_cluster_that_ignores_the_header_gets_every_machine_once(
    make_rig: Callable[..., Rig], form: HeaderForm, workers: int
) -> None:
    rig = make_rig(batch_mode="unsupported")
    client = rig.client(form_of(form))
    requests = chunks(4, 8)
    outcomes = client.launch(requests, workers=workers)
    assert (refusals(outcomes), client.batch_honoured) == ({}, False)
    settle(rig, requests, outcomes)


def test_scale_machine_counts_right_where_the_header_is_ignored(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(batch_mode="unsupported")
    names = [f"s-{index}" for index in range(40)]
    record = rig.client().scale_machine(template_of(), 40, 4, names=names, watch=Watch(timeout_s=0))
    assert (record.successful_machines, record.failed_machines) == (40, ())
    assert (rig.alive(), rig.doubled()) == (set(names), {})


@FORMS
def test_an_ignored_header_and_a_lost_answer_at_once(make_rig: Callable[..., Rig], form: HeaderForm) -> None:
    rig = make_rig(batch_mode="unsupported")
    rig.fault(kind="reset_after", operations=("machine.put",), names=("m-0-0", "m-1-2", "m-2-0"), count=3)
    requests = chunks(3, 5)
    outcomes = rig.client(form_of(form)).create_machines(requests)
    settle(rig, requests, outcomes)


@FORMS
def test_the_era_in_which_the_body_made_the_url_machine_loses_no_mark(
    make_rig: Callable[..., Rig], form: HeaderForm
) -> None:
    rig = make_rig(batch_mode="primary-from-body")
    requests = chunks(2, 6)
    outcomes = rig.client(form_of(form)).create_machines(requests)
    settle(rig, requests, outcomes)
    assert {machine.tags.get("azaks-owner") for machine in rig.client().list_machines(POOL).machines} == {"site-a"}


# A machine of the batch exists already, §4.3 and §12


@FORMS
@pytest.mark.parametrize("existing", ["error", "whole", "update"])
def test_machines_that_appear_between_list_and_batch_are_not_made_again(
    make_rig: Callable[..., Rig], form: HeaderForm, existing: str
) -> None:
    """`update` is what one fake does; there the second PUT changes machines, and still makes none."""
    rig = make_rig(batch_existing=existing)
    requests = chunks(1, 10)
    earlier = chunks(1, 5)
    transport = Interrupted(is_put, lambda: rig.client().create_machines(earlier))
    outcomes = rig.client(form_of(form), transport=transport).create_machines(requests)
    assert transport.happened
    assert by_state(outcomes, LaunchState.ACCEPTED) >= set(names_of(earlier))
    if existing == "update":
        assert rig.alive() == by_state(outcomes, LaunchState.ACCEPTED) == set(names_of(requests))
        assert set(rig.pool.generations.values()) == {1}
    else:
        settle(rig, requests, outcomes)


# Accepted, and failed later, §5.3


@pytest.mark.parametrize(
    "code",
    [
        *QUOTA_FAULTS,
        "SkuNotAvailable",
        "ZonalAllocationFailed",
        "AllocationFailed",
        "OverconstrainedZonalAllocationRequest",
        "OverconstrainedAllocationRequest",
        "FailedToCreateOrUpdateVirtualMachineExtension",
        "InsufficientSubnetSize",
    ],
)
def test_a_cycle_replaces_the_half_that_failed_later_and_keeps_the_other(site: Site, code: str) -> None:
    site.scheduler.submit("array", iterations=20)
    rule = site.fault(kind="provisioning_failure", code=code, every=2)
    site.cycle()
    site.emulator.state.faults.remove(rule)
    site.boot()
    kept = {machine.name for machine in site.machines() if machine.error is None}
    assert len(kept) == 10
    site.cycles(30, every_s=3000.0)  # the longest back-off lasts 23 hours
    assert claimed(site.cycle().plan) == []
    assert (len(site.names()), set(site.records())) == (20, set(site.names()))
    assert kept <= set(site.names())
    assert set(site.emulator.state.pools()[0].generations.values()) == {1}


@pytest.mark.parametrize("kind", ["client_error", "internal_error"])
@pytest.mark.parametrize("header", ["all", "additional", "off"])
def test_a_cycle_replaces_the_half_that_was_refused_and_keeps_the_other(
    make_site: Callable[..., Site], kind: str, header: str
) -> None:
    site = make_site()
    site.document["aks"]["batch_header"] = header
    site.scheduler.submit("array", iterations=20)
    rule = site.fault(kind=kind, names=("*1", "*3", "*5", "*7", "*9"))
    site.cycle()
    kept = set(site.names())
    assert len(kept) == 10
    site.emulator.state.faults.remove(rule)
    site.boot()
    site.cycles(3, every_s=300.0)
    assert claimed(site.cycle().plan) == []
    assert (len(site.names()), set(site.records())) == (20, set(site.names()))
    assert kept <= set(site.names())
    assert set(site.emulator.state.pools()[0].generations.values()) == {1}
