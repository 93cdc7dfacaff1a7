"""Refusals: the two error envelopes and the sentences clients match on (§5.1).

=============================  ======  ==========================  ========
case                           status  code                        envelope
=============================  ======  ==========================  ========
no bearer                      401     AuthenticationFailed        wrapped
bearer too old                 401     ExpiredAuthenticationToken  wrapped
no api-version                 400     MissingApiVersionParameter  wrapped
subscription / RG / cluster    404     *NotFound                   wrapped
pool or machine absent         404     NotFound                    bare
pool not in Machines mode      400     BadRequest                  bare
size unknown or restricted     400     VMSizeNotSupported          bare
bad body, unknown field        400     InvalidParameter            bare
immutable change               400     OperationNotAllowed         bare
eTag mismatch                  412     ConditionNotMet             bare
=============================  ======  ==========================  ========
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)
class RefusalError(Exception):
    """An answer other than success; becomes the HTTP response.

    `wrapped` is ARM's envelope `{"error": {…}}`; otherwise the provider's bare one. `raw` replaces the
    body altogether.
    """

    status: int
    code: str
    message: str
    wrapped: bool = False
    details: list[dict[str, Any]] | None = None
    subcode: str = ""
    headers: dict[str, str] | None = None
    raw: str | None = None

    def body(self) -> dict[str, Any]:
        """The JSON of the envelope."""
        if self.wrapped:
            error: dict[str, Any] = {"code": self.code, "message": self.message}
            if self.details:
                error["details"] = self.details
            return {"error": error}
        return {
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "subcode": self.subcode,
        }


def arm(status: int, code: str, message: str, *, wrapped: bool = True) -> RefusalError:
    """ARM itself refuses: wrapped (but for a switch), marked as coming from the gateway."""
    return RefusalError(status, code, message, wrapped=wrapped, headers={"x-ms-failure-cause": "gateway"})


def no_token(*, wrapped: bool = True) -> RefusalError:
    """401 (§10.1)."""
    message = "Authentication failed. The 'Authorization' header is missing or invalid."
    return arm(401, "AuthenticationFailed", message, wrapped=wrapped)


def expired_token() -> RefusalError:
    """401: the token was good once."""
    message = "The access token expiry UTC time is earlier than current UTC time."
    return arm(401, "ExpiredAuthenticationToken", message)


def missing_api_version(*, wrapped: bool = True) -> RefusalError:
    """400 (§10.1)."""
    return arm(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
        wrapped=wrapped,
    )


def bad_api_version(version: str) -> RefusalError:
    """400: not a version at all."""
    return arm(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")


def version_without(version: str, resource_type: str, location: str) -> RefusalError:
    """400: the version exists but does not offer this call (§1.2: machine PUT is preview only)."""
    return arm(
        400,
        "NoRegisteredProviderFound",
        f"No registered resource provider found for location '{location}' and API version '{version}' "
        f"for type '{resource_type}'.",
    )


def no_subscription(subscription: str) -> RefusalError:
    """404, wrapped."""
    return arm(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def no_resource_group(group: str) -> RefusalError:
    """404, wrapped (§5.1)."""
    return arm(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def no_cluster(group: str, cluster: str, *, parent: bool) -> RefusalError:
    """404, wrapped: the cluster itself is asked for, or something below it (§5.1)."""
    resource = f"'Microsoft.ContainerService/managedClusters/{cluster}'"
    if parent:
        return arm(
            404,
            "ParentResourceNotFound",
            f"Failed to perform 'action' on resource(s) of type 'managedClusters/agentPools', because the parent "
            f"resource {resource} could not be found.",
        )
    return arm(404, "ResourceNotFound", f"The Resource {resource} under resource group '{group}' was not found.")


def no_pool(pool: str) -> RefusalError:
    """404, bare (§5.1)."""
    return RefusalError(404, "NotFound", f"Could not find the agent pool: {pool}", subcode="GetAgentPool_NotFound")


def no_machine(machine: str) -> RefusalError:
    """404, bare, with one `Unspecified` detail (§5.1)."""
    return RefusalError(
        404,
        "NotFound",
        f"Machine not found: {machine}",
        details=[{"code": "Unspecified", "message": "rpc error: code = NotFound desc = Machine not found"}],
        subcode="GetMachine_NotFound_HCPServerError",
    )


def not_machines_mode(pool: str) -> RefusalError:
    """400, bare; clients match the text (§5.1)."""
    return RefusalError(400, "BadRequest", f"Agent pool '{pool}' is not in 'Machines' mode.")


def size_not_supported(size: str, subscription: str, location: str) -> RefusalError:
    """400, bare; `details` is null (§5.2)."""
    return RefusalError(
        400,
        "VMSizeNotSupported",
        f"Virtual Machine size: '{size}' is not supported for subscription {subscription} in location '{location}'.",
    )


def invalid(message: str, code: str = "InvalidParameter") -> RefusalError:
    """400, bare: the request itself is wrong."""
    return RefusalError(400, code, message)


def conflict(message: str) -> RefusalError:
    """409: another operation holds the resource (§5.1, L)."""
    return RefusalError(409, "OperationNotAllowed", message)
