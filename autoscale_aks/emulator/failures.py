"""What `status.provisioningError` says for each way a machine can fail (§5.3).

The outer error is AKS's, `details[0]` is the compute error that clients classify.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from autoscale_aks.emulator.quota import Shortage


def _sku_not_available(size: str, zone: str, location: str) -> str:
    place = f"{location} zone {zone}" if zone else location
    return (
        f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size}' "
        f"is currently not available in location '{place}'. Please try another size or deploy to a different "
        "location or different zone."
    )


def _zonal_allocation(size: str, zone: str, location: str) -> str:
    return (
        f"Allocation failed. We do not have sufficient capacity for the requested VM size {size} in zone "
        f"'{zone}' of {location}."
    )


def _allocation(size: str, zone: str, location: str) -> str:
    del zone
    return f"Allocation failed. We do not have sufficient capacity for the requested VM size {size} in {location}."


def _overconstrained(size: str, zone: str, location: str) -> str:
    lines = [f"Allocation failed in {location}. VM(s) with the following constraints cannot be allocated:"]
    lines += [f"  - Availability Zone: {zone}"] if zone else []
    lines += ["  - Low Priority VMs", f"  - VM Size: {size}"]
    return "\n".join(lines)


def _extension(size: str, zone: str, location: str) -> str:
    del size, zone, location
    return "VM has reported a failure when processing extension 'vmssCSE'. Enable failed: exit status=50"


_SENTENCES: dict[str, Callable[[str, str, str], str]] = {
    "SkuNotAvailable": _sku_not_available,
    "ZonalAllocationFailed": _zonal_allocation,
    "AllocationFailed": _allocation,
    "OverconstrainedZonalAllocationRequest": _overconstrained,
    "OverconstrainedAllocationRequest": _overconstrained,
    "FailedToCreateOrUpdateVirtualMachineExtension": _extension,
}
QUOTA_FAULTS = {"FamilyQuota": "", "RegionalQuota": "cores", "SpotQuota": "lowPriorityCores"}


def quota_error(shortage: Shortage, location: str) -> dict[str, Any]:
    """`QuotaExceeded` around compute's `OperationNotAllowed`."""
    return _nested("QuotaExceeded", "OperationNotAllowed", shortage.sentence(location))


def compute_error(code: str, message: str, size: str, zone: str, location: str) -> dict[str, Any]:
    """Any other provisioning error; an empty message gets the usual sentence of the code."""
    sentence = _SENTENCES.get(code, _allocation)(size, zone, location)
    error = _nested(code, code, message or sentence)
    if code.startswith("Overconstrained"):
        error["details"][0]["target"] = "0"
    return error


def _nested(outer: str, inner: str, message: str) -> dict[str, Any]:
    return {
        "code": outer,
        "message": f'Code="{inner}" Message="{message}"',
        "details": [{"code": inner, "message": message}],
    }
