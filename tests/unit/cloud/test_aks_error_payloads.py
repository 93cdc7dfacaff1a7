"""Every error payload of aks-machine-api.md §5 and §6.2, and hostile ones, from the bytes to what each machine gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aks_fakes import FakeArm, FakeClock, answer, chunk, client_of, put_names, states

from autoscale_aks.cloud.aks.batch import read_outcomes
from autoscale_aks.cloud.aks.caller import Answer
from autoscale_aks.cloud.aks.faults import mark_for, parse_provisioning_error
from autoscale_aks.cloud.aks.transport import Response

NAMES = ("np-001", "np-002", "np-005")
FAMILY = (
    "Operation could not be completed as it results in exceeding approved standardDSv3Family Cores quota. Additional "
    "details - Deployment Model: Resource Manager, Location: westus2, Current Limit: 100, Current Usage: 96, "
    "Remaining reserved quantity: 4, Additional Required: 8, (Minimum) New Limit Required: 104."
)
CLIENT_DETAILS = [
    {"code": "InvalidParameter", "message": "zone 9 is not valid here", "target": "np-002"},
    {"code": "InternalOperationError", "message": "could not be prepared", "target": "np-005"},
]
INTERNAL = '{"details":[{"code":"InternalOperationError","message":"could not be prepared","target":"np-005"}]}'


def bare(code: str, message: str = "", **fields: Any) -> dict[str, Any]:
    return {"code": code, "message": message, "details": None, "subcode": "", **fields}


def wrapped(code: str, message: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def outcomes(status: int, body: object, names: tuple[str, ...] = NAMES) -> dict[str, tuple[str, str | None, str]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = read_outcomes(Answer(Response(status=status, body=raw), 1), names)
    return {name: (one.state.value, one.kind.value if one.kind else None, one.code) for name, one in found.items()}


@pytest.mark.parametrize(
    ("status", "body", "state", "kind", "code"),
    [
        # §5.1, both envelopes
        (404, wrapped("ResourceGroupNotFound", "Resource group 'rg' could not be found."), "rejected", "validation",
         "ResourceGroupNotFound"),
        (404, wrapped("ParentResourceNotFound"), "rejected", "validation", "ParentResourceNotFound"),
        (404, wrapped("ResourceNotFound"), "rejected", "validation", "ResourceNotFound"),
        (404, bare("NotFound", subcode="GetAgentPool_NotFound"), "rejected", "validation", "NotFound"),
        (400, bare("BadRequest", "Agent pool 'np' is not in 'Machines' mode."), "rejected", "validation",
         "BadRequest"),
        (400, bare("VMSizeNotSupported", "Virtual Machine size: 'Standard_Nope' is not supported for subscription SUB "
                   "in location 'eastus2'."), "rejected", "validation", "VMSizeNotSupported"),
        (400, bare("BadRequest", "size X is not supported for subscription SUB"), "rejected", "validation",
         "BadRequest"),
        (400, bare("InvalidParameter", "json: unknown field"), "rejected", "validation", "InvalidParameter"),
        (400, bare("ValidationError"), "rejected", "validation", "ValidationError"),
        (400, bare("PropertyChangeNotAllowed"), "rejected", "validation", "PropertyChangeNotAllowed"),
        (400, bare("InvalidCustomKubeletConfig"), "rejected", "validation", "InvalidCustomKubeletConfig"),
        (400, bare("OperationNotAllowed", "immutable"), "rejected", "conflict", "OperationNotAllowed"),
        (409, bare("OperationNotAllowed", "another operation"), "rejected", "conflict", "OperationNotAllowed"),
        (409, bare("OperationNotAllowed", FAMILY), "rejected", "quota", "OperationNotAllowed"),
        (412, bare("ConditionNotMet"), "unknown", "conflict", "ConditionNotMet"),
        (412, bare("PreconditionFailed"), "unknown", "conflict", "PreconditionFailed"),
        (401, wrapped("AuthenticationFailed"), "rejected", "auth", "AuthenticationFailed"),
        (403, wrapped("AuthorizationFailed"), "rejected", "auth", "AuthorizationFailed"),
        # §6.2
        (429, bare("Throttled", "The MachineHandler.PUT request limit has been exceeded for SubID='S', please retry "
                   "again in 9 seconds"), "rejected", "throttle", "Throttled"),
        (429, bare("OperationNotAllowed"), "rejected", "throttle", "OperationNotAllowed"),
        (500, bare("InternalOperationError"), "unknown", "transient", "InternalOperationError"),
        (503, wrapped("ServerTimeout"), "unknown", "transient", "ServerTimeout"),
        # hostile: nothing may be concluded, so that a list decides
        (400, b"<html><body>Request Header Or Cookie Too Large</body></html>", "unknown", "unknown", "HTTP400"),
        (502, b"<html>bad gateway</html>", "unknown", "transient", "HTTP502"),
        (400, b'{"code": "BatchMachineCli', "unknown", "unknown", "HTTP400"),
        (400, {"code": 7, "message": []}, "unknown", "unknown", "HTTP400"),
        (400, {"error": "no"}, "unknown", "unknown", "HTTP400"),
        (400, [], "unknown", "unknown", "HTTP400"),
        (400, b'{"code":"BadRequest","pad":"' + b"x" * 3_000_000 + b'"}', "unknown", "unknown", "HTTP400"),
        (400, b"[" * 300_000, "unknown", "unknown", "HTTP400"),
        (400, b"\xff\xfe\x00\x01", "unknown", "unknown", "HTTP400"),
        (302, b"", "unknown", "unknown", "HTTP302"),
        (431, b"", "unknown", "unknown", "HTTP431"),
        # §5.2: batch errors against their own rules
        (400, bare("BatchMachineClientError"), "unknown", "unknown", "BatchMachineClientError"),
        (400, bare("BatchMachineClientError", details=[]), "unknown", "unknown", "BatchMachineClientError"),
        (400, bare("BatchMachineClientError", details=[{"code": "X", "target": "stranger"}]), "unknown", "unknown",
         "BatchMachineClientError"),
        (400, bare("BatchMachineClientError", details=[{"code": "X"}]), "unknown", "unknown",
         "BatchMachineClientError"),
        (500, bare("BatchMachineInternalServerError", "not JSON"), "unknown", "transient",
         "BatchMachineInternalServerError"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_an_error_without_a_word_on_single_machines_is_the_same_for_all(
    status: int, body: object, state: str, kind: str, code: str
) -> None:
    assert outcomes(status, body) == dict.fromkeys(NAMES, (state, kind, code))


@pytest.mark.parametrize("envelope", [lambda body: body, lambda body: {"error": body}])
def test_a_batch_error_rejects_those_it_names_and_the_others_were_created(envelope: Any) -> None:
    assert outcomes(400, envelope(bare("BatchMachineClientError", details=CLIENT_DETAILS))) == {
        "np-001": ("accepted", None, ""),
        "np-002": ("rejected", "validation", "InvalidParameter"),
        "np-005": ("rejected", "transient", "InternalOperationError"),
    }
    assert outcomes(500, envelope(bare("BatchMachineInternalServerError", INTERNAL))) == {
        "np-001": ("accepted", None, ""),
        "np-002": ("accepted", None, ""),
        "np-005": ("rejected", "transient", "InternalOperationError"),
    }


def test_a_batch_error_that_was_cut_off_says_nothing_of_any_machine() -> None:
    body = json.dumps(bare("BatchMachineClientError", details=CLIENT_DETAILS)).encode()
    found = read_outcomes(Answer(Response(status=400, body=body, truncated=True), 1), NAMES)
    assert {one.state.value for one in found.values()} == {"unknown"}


HOUR, DAY = 3600.0, 23 * 3600.0


@pytest.mark.parametrize(
    ("code", "message", "kind", "scope", "spot", "lasts_s"),
    [
        ("OperationNotAllowed", "exceeding approved LowPriorityCores quota", "quota", "all spot", True, HOUR),
        ("OperationNotAllowed", FAMILY, "quota", "size", True, 600.0),
        ("OperationNotAllowed", FAMILY.replace("Limit: 100", "Limit: 0"), "quota", "size", True, HOUR),
        ("SkuNotAvailable", "Following SKUs have failed for Capacity Restrictions", "capacity", "attempt", True, HOUR),
        ("ZonalAllocationFailed", "", "capacity", "zone", None, HOUR),
        ("AllocationFailed", "", "capacity", "attempt", None, HOUR),
        ("OverconstrainedZonalAllocationRequest", "", "capacity", "zone", True, HOUR),
        ("OverconstrainedAllocationRequest", "", "capacity", "attempt", True, HOUR),
    ],
)
def test_the_rows_of_the_scope_and_lifetime_table(
    code: str, message: str, kind: str, scope: str, spot: bool | None, lasts_s: float
) -> None:
    """§5.3, from the nested error of a failed machine."""
    fault = parse_provisioning_error({"code": "Outer", "message": "o", "details": [{"code": code, "message": message}]})
    assert fault is not None
    assert (fault.kind.value, fault.code) == (kind, code)
    mark = mark_for(fault.code, fault.message, spot=True)
    assert mark is not None
    assert (mark.scope.value, mark.spot, mark.lifetime_s) == (scope, spot, lasts_s)


@pytest.mark.parametrize(
    ("code", "message", "spot", "lasts_s"),
    [
        ("SkuNotAvailable", "", False, DAY),
        ("VMSizeNotSupported", "", False, DAY),
        ("BadRequest", "X is not supported for subscription S", True, DAY),
        ("OperationNotAllowed", "exceeding approved Total Regional Cores quota", False, 0.0),
        ("FailedToCreateOrUpdateVirtualMachineExtension", "CSE exit code 50", False, None),
    ],
)
def test_long_marks_and_errors_that_mark_nothing(code: str, message: str, spot: bool, lasts_s: float | None) -> None:
    mark = mark_for(code, message, spot=spot)
    assert (mark.lifetime_s if mark else None) == lasts_s


@pytest.mark.parametrize("megabytes", [1, 40])
def test_megabytes_of_error_neither_stop_nor_slow_the_other_chunks(megabytes: int) -> None:
    arm, clock = FakeArm(), FakeClock()
    flood = answer(400, b'{"code":"X","message":"' + b"y" * (megabytes << 20))
    arm.on_put = lambda names, request: flood if names[0] == "a" and len(names) > 1 else None
    first, second = client_of(arm, clock).create_machines([chunk(0, "a", "b"), chunk(1, "c", "d")])
    assert set(states([second]).values()) == {"accepted"}
    assert states([first]) == {"a": "accepted", "b": "accepted"}, "listed, and what was missing sent alone"
    assert [put_names(request) for request in arm.puts[2:]] == [["a"], ["b"]]
    assert all(len(one.message) <= 2000 for one in first.outcomes)
