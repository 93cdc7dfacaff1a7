"""URLs of what is read beside AKS (aks-machine-api.md §9)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from autoscale_aks.access.addresses import check_url

SKUS_VERSION: Final = "2021-07-01"
USAGES_VERSION: Final = "2024-07-01"
SUBNET_VERSION: Final = "2024-05-01"
RETAIL_URL: Final = "https://prices.azure.com"
"""The public cloud's price list; no other cloud has one (§9.3)."""

_SUBNET: Final = re.compile(
    r"/subscriptions/[-\w]{1,64}/resourceGroups/[-\w.()]{1,90}/providers/Microsoft\.Network/virtualNetworks/"
    r"[-\w.]{1,80}/subnets/[-\w.]{1,80}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureEndpoints:
    """Where to ask. Raises ValueError for an address that cannot be used."""

    arm_url: str
    subscription: str
    retail_url: str | None = None
    """None: there is no price list."""

    def __post_init__(self) -> None:
        check_url("arm_url", self.arm_url)
        if self.retail_url is not None:
            check_url("prices.url", self.retail_url)

    def skus_url(self, location: str) -> str:
        """Resource SKUs of one location: GET, paged."""
        chosen = quote(f"location eq '{location}'")
        return f"{self._compute()}/skus?api-version={SKUS_VERSION}&$filter={chosen}"

    def usages_url(self, location: str) -> str:
        """Quota counters of one location: GET, paged."""
        return f"{self._compute()}/locations/{quote(location, safe='')}/usages?api-version={USAGES_VERSION}"

    def subnet_url(self, subnet_id: str) -> str | None:
        """A subnet: GET. None for what is not the id of a subnet."""
        if not _SUBNET.fullmatch(subnet_id):
            return None
        return f"{self.arm_url.rstrip('/')}{quote(subnet_id)}?api-version={SUBNET_VERSION}"

    def _compute(self) -> str:
        subscription = quote(self.subscription, safe="")
        return f"{self.arm_url.rstrip('/')}/subscriptions/{subscription}/providers/Microsoft.Compute"
