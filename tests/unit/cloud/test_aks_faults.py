from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale_aks.cloud.aks.faults import (
    classify,
    is_absent_pool,
    is_no_valid_machines,
    mark_for,
    parse_batch_faults,
    parse_fault,
    parse_provisioning_error,
)
from autoscale_aks.model.launch import FaultKind, Mark, Scope

HOUR = 3600.0
FAMILY = (
    "Operation could not be completed as it results in exceeding approved standardDSv3Family Cores quota. Additional "
    "details - Deployment Model: Resource Manager, Location: westus2, Current Limit: 100, Current Usage: 96, "
    "Additional Required: 8, (Minimum) New Limit Required: 104."
)
FAMILY_ZERO = FAMILY.replace("Current Limit: 100", "Current Limit: 0")
SPOT_QUOTA = "exceeding approved LowPriorityCores quota. Current Limit: 3"
REGIONAL = "exceeding approved Total Regional Cores quota."


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "wrapped"),
    [
        (
            404,
            {"error": {"code": "ResourceGroupNotFound", "message": "m"}},
            "VALIDATION",
            "ResourceGroupNotFound",
            True,
        ),
        (
            404,
            {"error": {"code": "ParentResourceNotFound", "message": "m"}},
            "VALIDATION",
            "ParentResourceNotFound",
            True,
        ),
        (404, {"code": "NotFound", "subcode": "GetAgentPool_NotFound"}, "VALIDATION", "NotFound", False),
        (
            400,
            {"code": "BadRequest", "message": "Agent pool 'np' is not in 'Machines' mode."},
            "VALIDATION",
            "BadRequest",
            False,
        ),
        (400, {"code": "VMSizeNotSupported", "details": None}, "VALIDATION", "VMSizeNotSupported", False),
        (400, {"code": "OperationNotAllowed", "message": "immutable"}, "CONFLICT", "OperationNotAllowed", False),
        (409, {"code": "OperationNotAllowed", "message": FAMILY}, "QUOTA", "OperationNotAllowed", False),
        (409, {"code": "Whatever"}, "CONFLICT", "Whatever", False),
        (412, {"code": "ConditionNotMet"}, "CONFLICT", "ConditionNotMet", False),
        (412, {"code": "PreconditionFailed"}, "CONFLICT", "PreconditionFailed", False),
        (429, {"code": "Throttled", "message": "retry again in 9 seconds"}, "THROTTLE", "Throttled", False),
        (429, {"code": "OperationNotAllowed"}, "THROTTLE", "OperationNotAllowed", False),
        (401, {"error": {"code": "AuthenticationFailed"}}, "AUTH", "AuthenticationFailed", True),
        (403, {"error": {"code": "AuthorizationFailed"}}, "AUTH", "AuthorizationFailed", True),
        (500, {"code": "InternalOperationError"}, "TRANSIENT", "InternalOperationError", False),
        (503, {"error": {"code": "ServerTimeout"}}, "TRANSIENT", "ServerTimeout", True),
        (418, {"code": "Teapot"}, "UNKNOWN", "Teapot", False),
    ],
)
def test_both_envelopes(status: int, body: object, kind: str, code: str, wrapped: bool) -> None:
    fault = parse_fault(status, json.dumps(body).encode())
    assert (fault.kind.name, fault.code, fault.wrapped) == (kind, code, wrapped)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Request Header Or Cookie Too Large</body></html>",
        b'{"code": "BadReq',
        b'{"error": "no"}',
        b'{"error": {"code": 7, "message": []}}',
        b'"text"',
        b"null",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"code":"BadRequest","pad":"' + b"x" * 2_000_000 + b'"}',
    ],
)
def test_unreadable_bodies_have_no_code_and_stay_short(body: bytes) -> None:
    fault = parse_fault(400, body)
    assert fault.code == ""
    assert fault.kind is FaultKind.UNKNOWN
    assert len(fault.message) <= 2000
    assert parse_batch_faults(body, ["a"]) is None


def test_messages_are_bounded_and_printable() -> None:
    fault = parse_fault(400, json.dumps({"code": "X" * 999, "message": "\x1b[31m\ud800" + "y" * 99_999}).encode())
    assert len(fault.code) == 128
    assert len(fault.message) == 2000
    assert fault.message.isprintable()


@given(st.binary(max_size=300), st.integers(100, 599))
def test_no_body_makes_the_parser_raise(body: bytes, status: int) -> None:
    parse_fault(status, body)
    parse_batch_faults(body, ["a"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["error", "code", "message", "details", "target"]), inner, max_size=4)
        ),
    )
)
def test_no_json_makes_the_parser_raise(value: object) -> None:
    body = json.dumps(value).encode()
    parse_fault(400, body)
    parse_batch_faults(body, ["a"])
    parse_provisioning_error(value)


CLIENT = {
    "code": "BatchMachineClientError",
    "message": "the following machines failed with ClientError: np-002; …",
    "details": [
        {"code": "InvalidParameter", "message": "zone 9 is not valid here", "target": "np-002"},
        {"code": "InternalOperationError", "message": "could not be prepared", "target": "np-005"},
    ],
    "subcode": "",
}
INTERNAL = {
    "code": "BatchMachineInternalServerError",
    "message": json.dumps(
        {"details": [{"code": "InternalOperationError", "message": "could not be prepared", "target": "np-005"}]}
    ),
}
NAMES = ["np-001", "np-002", "np-005"]


def test_b9_a_client_error_names_the_failed_machines() -> None:
    faults = parse_batch_faults(json.dumps(CLIENT).encode(), NAMES)
    assert faults is not None
    assert {name: (fault.kind, fault.code) for name, fault in faults.items()} == {
        "np-002": (FaultKind.VALIDATION, "InvalidParameter"),
        "np-005": (FaultKind.TRANSIENT, "InternalOperationError"),
    }


def test_b9_an_internal_error_has_its_details_inside_the_message() -> None:
    faults = parse_batch_faults(json.dumps(INTERNAL).encode(), NAMES)
    assert faults is not None
    assert set(faults) == {"np-005"}


def test_b9_a_wrapped_batch_error_is_read_as_well() -> None:
    assert parse_batch_faults(json.dumps({"error": CLIENT}).encode(), NAMES) is not None


@pytest.mark.parametrize(
    "body",
    [
        {**CLIENT, "details": []},
        {**CLIENT, "details": None},
        {**CLIENT, "details": "np-002"},
        {**CLIENT, "details": {"np-002": {}}},
        {**CLIENT, "details": [*CLIENT["details"], {"code": "X", "message": "no target"}]},
        {**CLIENT, "details": [*CLIENT["details"], {"code": "X", "target": "stranger"}]},
        {**CLIENT, "details": [*CLIENT["details"], {"code": "X", "target": 5}]},
        {**CLIENT, "details": [*CLIENT["details"], {"code": "X", "target": ["np-001"]}]},
        {**CLIENT, "details": [*CLIENT["details"], "np-002"]},
        {**CLIENT, "details": [None]},
        {**INTERNAL, "message": "no JSON"},
        {**INTERNAL, "message": "{}"},
        {**INTERNAL, "message": "[" * 50_000},
        {**INTERNAL, "message": '{"details":[{"code":"\\ud800"}]}'},
        {**INTERNAL, "message": None},
        {**INTERNAL, "message": {"details": []}},
        {"code": "VMSizeNotSupported", "details": None},
    ],
)
def test_b9_a_batch_error_against_its_rules_says_nothing(body: object) -> None:
    assert parse_batch_faults(json.dumps(body).encode(), NAMES) is None


@pytest.mark.parametrize(
    ("code", "message", "spot", "mark"),
    [
        ("VMSizeNotSupported", "", False, Mark(Scope.SIZE, None, 23 * HOUR)),
        ("BadRequest", "Size X is not supported for subscription S", True, Mark(Scope.SIZE, None, 23 * HOUR)),
        ("BadRequest", "something else", True, None),
        ("OperationNotAllowed", SPOT_QUOTA, True, Mark(Scope.ALL_SPOT, True, HOUR)),
        ("OperationNotAllowed", FAMILY, False, Mark(Scope.SIZE, False, 600.0)),
        ("OperationNotAllowed", FAMILY, True, Mark(Scope.SIZE, True, 600.0)),
        (
            "OperationNotAllowed",
            FAMILY.replace("Family Cores", " Family Cores"),
            False,
            Mark(Scope.SIZE, False, 600.0),
        ),
        ("OperationNotAllowed", FAMILY_ZERO, False, Mark(Scope.SIZE, False, HOUR)),
        ("QuotaExceeded", FAMILY, False, Mark(Scope.SIZE, False, 600.0)),
        ("SkuNotAvailable", "", True, Mark(Scope.ATTEMPT, True, HOUR)),
        ("SkuNotAvailable", "", False, Mark(Scope.ATTEMPT, False, 23 * HOUR)),
        ("ZonalAllocationFailed", "", False, Mark(Scope.ZONE, None, HOUR)),
        ("AllocationFailed", "", True, Mark(Scope.ATTEMPT, None, HOUR)),
        ("OverconstrainedZonalAllocationRequest", "", True, Mark(Scope.ZONE, True, HOUR)),
        ("OverconstrainedAllocationRequest", "", False, Mark(Scope.ATTEMPT, False, HOUR)),
        ("OperationNotAllowed", REGIONAL, False, Mark(Scope.REGION, False, 0.0)),
        ("OperationNotAllowed", "an operation is running", False, None),
        ("InternalOperationError", FAMILY, False, None),
    ],
)
def test_provisioning_errors_mark_what_the_table_says(code: str, message: str, spot: bool, mark: Mark | None) -> None:
    assert mark_for(code, message, spot=spot) == mark


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("OperationNotAllowed", REGIONAL, FaultKind.QUOTA),
        ("OperationNotAllowed", SPOT_QUOTA, FaultKind.QUOTA),
        ("SkuNotAvailable", "", FaultKind.CAPACITY),
        ("ZonalAllocationFailed", "", FaultKind.CAPACITY),
        ("AllocationFailed", "", FaultKind.CAPACITY),
        ("OverconstrainedAllocationRequest", "", FaultKind.CAPACITY),
        ("NicReservedForAnotherVm", "", FaultKind.CONFLICT),
        ("FailedToCreateOrUpdateVirtualMachineExtension", "", FaultKind.UNKNOWN),
    ],
)
def test_kinds_of_errors_without_a_status(code: str, message: str, kind: FaultKind) -> None:
    assert classify(0, code, message) is kind


def test_a_provisioning_error_is_its_first_detail_or_itself() -> None:
    outer = {"code": "QuotaExceeded", "message": "outer"}
    inner = {"code": "OperationNotAllowed", "message": FAMILY}
    first = parse_provisioning_error({**outer, "details": [inner, {"code": "Other"}]})
    assert first is not None
    assert first.code == "OperationNotAllowed"
    for details in ([], None, [None], "x", [{"message": "no code"}]):
        fault = parse_provisioning_error({**outer, "details": details})
        assert fault is not None
        assert fault.code == "QuotaExceeded"
    assert parse_provisioning_error(None) is None
    assert parse_provisioning_error({}) is None


def test_an_absent_pool_is_told_from_an_absent_cluster() -> None:
    pool = parse_fault(404, b'{"code":"NotFound","subcode":"GetAgentPool_NotFound"}')
    cluster = parse_fault(404, b'{"error":{"code":"ResourceNotFound","message":"m"}}')
    assert is_absent_pool(404, pool)
    assert not is_absent_pool(404, cluster)
    assert not is_absent_pool(404, parse_fault(404, b"<html>"))


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_gone_test_of_a_delete(wrapped: bool) -> None:
    error = {"code": "InvalidParameter", "message": "Cannot find any valid machines; valid are: a, b"}
    assert is_no_valid_machines(parse_fault(400, json.dumps({"error": error} if wrapped else error).encode()))
    assert not is_no_valid_machines(parse_fault(400, b'{"code":"InvalidParameter","message":"other"}'))
