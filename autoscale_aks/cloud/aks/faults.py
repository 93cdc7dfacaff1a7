"""What the service's errors mean: one parser for every form they come in (aks-machine-api.md §5).

===============================================  ============================================================
Form                                             Where code, message and details stand
===============================================  ============================================================
ARM envelope                                     `error.code`, `error.message`, `error.details`
AKS envelope                                     top level
`BatchMachineClientError`                        top level; `details[].target` names the failed machines
`BatchMachineInternalServerError`                `message` is a JSON text with `details[]`
`provisioningError` of a machine                 `details[0]` (the compute error) if there is one, else the outer one
HTML, truncated, too large, wrong types          no code: nothing may be concluded from it
===============================================  ============================================================
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.model.launch import FaultKind, Mark, Scope

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

BATCH_CLIENT_ERROR: Final = "BatchMachineClientError"
BATCH_INTERNAL_ERROR: Final = "BatchMachineInternalServerError"
NO_VALID_MACHINES: Final = "Cannot find any valid machines"

MAX_ERROR_BYTES: Final = 1024 * 1024
MAX_MESSAGE: Final = 2000
_MAX_CODE: Final = 128
_HOUR_S: Final = 3600.0
_DAY_S: Final = 23 * _HOUR_S

_FAMILY_QUOTA = re.compile(r"Family\s+Cores\s+quota", re.IGNORECASE)
_SPOT_QUOTA = re.compile(r"LowPriorityCores.*quota|quota.*LowPriorityCores", re.IGNORECASE | re.DOTALL)
_REGIONAL_QUOTA = re.compile(r"Total\s+Regional\s+Cores\s+quota", re.IGNORECASE)
_ZERO_LIMIT = re.compile(r"Current Limit:\s*0\b", re.IGNORECASE)
_SIZE_REFUSED: Final = "is not supported for subscription"
_QUOTA_CODES: Final = frozenset({"OperationNotAllowed", "QuotaExceeded"})

_KINDS: Final[dict[str, FaultKind]] = {
    **dict.fromkeys(
        ("Throttled", "TooManyRequests", "SubscriptionRequestsThrottled", "OperationThrottled"), FaultKind.THROTTLE
    ),
    **dict.fromkeys(
        (
            "SkuNotAvailable",
            "ZonalAllocationFailed",
            "AllocationFailed",
            "OverconstrainedZonalAllocationRequest",
            "OverconstrainedAllocationRequest",
            "InsufficientSubnetSize",
            "SubnetIsFull",
        ),
        FaultKind.CAPACITY,
    ),
    "QuotaExceeded": FaultKind.QUOTA,
    **dict.fromkeys(
        (
            "VMSizeNotSupported",
            "BadRequest",
            "InvalidParameter",
            "ValidationError",
            "PropertyChangeNotAllowed",
            "InvalidCustomKubeletConfig",
            "NotFound",
            "ResourceNotFound",
            "ParentResourceNotFound",
            "ResourceGroupNotFound",
        ),
        FaultKind.VALIDATION,
    ),
    **dict.fromkeys(
        ("OperationNotAllowed", "ConditionNotMet", "PreconditionFailed", "Conflict", "NicReservedForAnotherVm"),
        FaultKind.CONFLICT,
    ),
    **dict.fromkeys(
        ("AuthenticationFailed", "AuthorizationFailed", "InvalidAuthenticationToken", "ExpiredAuthenticationToken"),
        FaultKind.AUTH,
    ),
    **dict.fromkeys(("ServerBusy", "ServiceUnavailable", "GatewayTimeout", "ServerTimeout"), FaultKind.TRANSIENT),
}
_OF_THE_CALLER: Final = frozenset({FaultKind.AUTH, FaultKind.THROTTLE})
_STATUS_KINDS: Final[dict[int, FaultKind]] = {
    404: FaultKind.VALIDATION,
    408: FaultKind.TRANSIENT,
    409: FaultKind.CONFLICT,
    412: FaultKind.CONFLICT,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One error, classified. An empty `code` means that the answer could not be read."""

    kind: FaultKind
    code: str = ""
    message: str = ""
    wrapped: bool = False
    """It came in ARM's envelope, not the resource provider's."""


def parse_fault(status: int, body: bytes) -> Fault:
    """The error in an answer that is not 2xx. Never raises, whatever the body holds."""
    top = parse_object(body)
    error = top.get("error")
    wrapped = isinstance(error, dict)
    fields = error if isinstance(error, dict) else top
    code = clean_text(fields.get("code"), _MAX_CODE)
    message = clean_text(fields.get("message"), MAX_MESSAGE)
    if not code:
        return Fault(classify(status, "", ""), message=message or _first_bytes(body))
    return Fault(classify(status, code, message), code, message, wrapped)


def parse_batch_faults(body: bytes, names: Collection[str]) -> Mapping[str, Fault] | None:
    """The machines a batch error names, with their faults; the unnamed were created (B9).

    None when the body is not a batch error, or when it breaks its own rules: no details, a detail without target, a
    target that is not in the batch. Then nothing is known of the whole batch (§5.2).
    """
    top = parse_object(body)
    error = top.get("error")
    fields = error if isinstance(error, dict) else top
    code = fields.get("code")
    details = fields.get("details")
    if code == BATCH_INTERNAL_ERROR:
        message = fields.get("message")
        inner = parse_object(message) if isinstance(message, str) else {}
        details = inner.get("details") or details
    elif code != BATCH_CLIENT_ERROR:
        return None
    if not isinstance(details, list) or not details:
        return None
    found: dict[str, Fault] = {}
    for detail in details:
        target = detail.get("target") if isinstance(detail, dict) else None
        if not isinstance(target, str) or target not in names:
            return None
        found.setdefault(target, _fault_of(detail))
    return found


def is_batch_fault(fault: Fault) -> bool:
    """Whether an answer's code is one of the two batch codes, well-formed or not."""
    return fault.code in {BATCH_CLIENT_ERROR, BATCH_INTERNAL_ERROR}


def parse_provisioning_error(error: object) -> Fault | None:
    """A failed machine's `status.provisioningError`, read the way §5.3 asks; None when there is none."""
    if not isinstance(error, dict) or not error:
        return None
    details = error.get("details")
    inner = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else None
    if inner is not None and clean_text(inner.get("code"), _MAX_CODE):
        return _fault_of(inner)
    return _fault_of(error)


def is_no_valid_machines(fault: Fault) -> bool:
    """`deleteMachines` found none of the names: all are gone already (§5.1)."""
    return fault.code == "InvalidParameter" and NO_VALID_MACHINES in fault.message


def is_absent_pool(status: int, fault: Fault) -> bool:
    """404 by the resource provider for a pool; a missing cluster or resource group comes in ARM's envelope."""
    return status == 404 and fault.code == "NotFound" and not fault.wrapped


def classify(status: int, code: str, message: str) -> FaultKind:
    """The kind of an error. Status 0: it came without one, in a batch's details or a machine's status."""
    if status == 429:
        return FaultKind.THROTTLE
    if status in {401, 403}:
        return FaultKind.AUTH
    if code in _QUOTA_CODES and any(quota.search(message) for quota in (_FAMILY_QUOTA, _SPOT_QUOTA, _REGIONAL_QUOTA)):
        return FaultKind.QUOTA
    if code in _KINDS:
        return _KINDS[code]
    if code.startswith("Internal") or status >= 500:
        return FaultKind.TRANSIENT
    return _STATUS_KINDS.get(status, FaultKind.UNKNOWN)


def mark_for(code: str, message: str, *, spot: bool) -> Mark | None:
    """What an error makes unavailable and for how long, in the order of §5.3's table; None: nothing.

    `spot` is the attempted priority.
    """
    if code == "VMSizeNotSupported" or (code == "BadRequest" and _SIZE_REFUSED in message):
        return Mark(Scope.SIZE, None, _DAY_S)
    if code in _QUOTA_CODES and _SPOT_QUOTA.search(message):
        return Mark(Scope.ALL_SPOT, True, _HOUR_S)
    if code in _QUOTA_CODES and _FAMILY_QUOTA.search(message):
        return Mark(Scope.SIZE, spot, _HOUR_S if _ZERO_LIMIT.search(message) else 600.0)
    if code in _QUOTA_CODES and _REGIONAL_QUOTA.search(message):
        return Mark(Scope.REGION, False, 0.0)
    if code == "SkuNotAvailable":
        return Mark(Scope.ATTEMPT, spot, _HOUR_S if spot else _DAY_S)
    return {
        "ZonalAllocationFailed": Mark(Scope.ZONE, None, _HOUR_S),
        "AllocationFailed": Mark(Scope.ATTEMPT, None, _HOUR_S),
        "OverconstrainedZonalAllocationRequest": Mark(Scope.ZONE, spot, _HOUR_S),
        "OverconstrainedAllocationRequest": Mark(Scope.ATTEMPT, spot, _HOUR_S),
    }.get(code)


def mark_of(kind: FaultKind | None, code: str, message: str, *, spot: bool) -> Mark | None:
    """What a machine's error makes unavailable; None also for answers that are about the caller (401, 403, 429)."""
    return None if kind in _OF_THE_CALLER else mark_for(code, message, spot=spot)


def parse_object(body: bytes | str, limit: int = MAX_ERROR_BYTES) -> dict[str, Any]:
    """A JSON object, or an empty one for anything else: HTML, half an answer, too deep, too large."""
    if len(body) > limit:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _fault_of(fields: dict[str, Any]) -> Fault:
    code = clean_text(fields.get("code"), _MAX_CODE)
    message = clean_text(fields.get("message"), MAX_MESSAGE)
    return Fault(classify(0, code, message), code or "Unspecified", message)


def clean_text(value: object, limit: int = MAX_MESSAGE) -> str:
    """A text from outside, safe to store and to print: bounded, no control characters, no half surrogates."""
    if not isinstance(value, str):
        return ""
    text = value[:limit]
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def _first_bytes(body: bytes) -> str:
    return " ".join(clean_text(body[:200].decode("utf-8", "replace")).split())
