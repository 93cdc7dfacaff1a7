"""vCPU quota of one subscription and region: who holds what, and the sentence when it is too much.

On demand needs the family and the region (`cores`), Spot `lowPriorityCores` (§9.2, M) and, if so switched, the region.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoscale_aks.emulator.catalog import Catalog, Size
    from autoscale_aks.emulator.settings import QuotaSettings

REGIONAL = "cores"
SPOT = "lowPriorityCores"


def _key(name: str) -> str:
    return name.replace(" ", "").casefold()


@dataclass(frozen=True, slots=True)
class Shortage:
    """The counter that would overflow."""

    name: str
    limit: int
    usage: int
    needed: int

    def sentence(self, location: str) -> str:
        """Compute's sentence; clients match `… Cores quota` and `Current Limit` (§5.3)."""
        what = {REGIONAL: "Total Regional Cores", SPOT: "LowPriorityCores"}.get(self.name, f"{self.name} Cores")
        return (
            f"Operation could not be completed as it results in exceeding approved {what} quota. "
            f"Additional details - Deployment Model: Resource Manager, Location: {location}, "
            f"Current Limit: {self.limit}, Current Usage: {self.usage}, Additional Required: {self.needed}, "
            f"(Minimum) New Limit Required: {self.usage + self.needed}."
        )


class Quota:
    """Counters of one subscription and region."""

    def __init__(self, settings: QuotaSettings, catalog: Catalog) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._limits = {_key(REGIONAL): settings.regional, _key(SPOT): settings.spot}
        self._limits |= {_key(name): limit for name, limit in settings.limits.items()}
        self._used: dict[str, int] = {}
        self._names = {_key(size.family): size.family for size in catalog}
        self._names |= {_key(REGIONAL): REGIONAL, _key(SPOT): SPOT}
        for name, used in settings.used_by_others.items():
            self._names.setdefault(_key(name), name)
            self._used[_key(name)] = used
        self._keys: dict[tuple[str, bool], tuple[str, ...]] = {}
        self._shown: dict[str, int] = dict(self._used)
        self._shown_at = float("-inf")

    def reserve(self, size: Size, *, spot: bool) -> Shortage | None:
        """Take the vCPUs of one machine, or say which counter is full and take nothing."""
        with self._lock:
            names = self._counters(size, spot=spot)
            for name in names:
                limit, used = self._limit(name), self._used.get(name, 0)
                if self._settings.enforced and used + size.vcpus > limit:
                    return Shortage(self._names[name], limit, used, size.vcpus)
            for name in names:
                self._used[name] = self._used.get(name, 0) + size.vcpus
            return None

    def release(self, size: Size, *, spot: bool) -> None:
        """Give the vCPUs of one machine back."""
        with self._lock:
            for name in self._counters(size, spot=spot):
                self._used[name] -= size.vcpus

    def set_limit(self, name: str, limit: int) -> None:
        """Change a limit while running (an operator's quota request was granted)."""
        with self._lock:
            self._names.setdefault(_key(name), name)
            self._limits[_key(name)] = limit

    def shortage(self, size: Size, name: str) -> Shortage:
        """What a failure on this counter would say now (for faults)."""
        with self._lock:
            used = self._used.get(_key(name), 0)
            return Shortage(name, used, used, size.vcpus)

    def usages(self, now: float) -> list[dict[str, Any]]:
        """The `usages` list; the numbers may lag by `lag_s` (§9.2)."""
        with self._lock:
            if now - self._shown_at >= self._settings.lag_s:
                self._shown, self._shown_at = dict(self._used), now
            return [
                {
                    "unit": "Count",
                    "currentValue": self._shown.get(key, 0),
                    "limit": self._limit(key),
                    "name": {"value": name, "localizedValue": _localized(name)},
                }
                for key, name in sorted(self._names.items())
            ]

    def _limit(self, key: str) -> int:
        return self._limits.get(key, self._settings.family)

    def _counters(self, size: Size, *, spot: bool) -> tuple[str, ...]:
        keys = self._keys.get((size.name, spot))
        if keys is None:
            both = (_key(SPOT), _key(REGIONAL)) if self._settings.spot_counts_as_regional else (_key(SPOT),)
            keys = both if spot else (_key(size.family), _key(REGIONAL))
            self._keys[size.name, spot] = keys
        return keys


def _localized(name: str) -> str:
    if name == REGIONAL:
        return "Total Regional vCPUs"
    if name == SPOT:
        return "Total Regional Spot vCPUs"
    return f"{name.removesuffix('Family').strip()} Family vCPUs"
