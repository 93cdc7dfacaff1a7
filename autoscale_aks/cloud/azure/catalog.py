"""The catalogue of VM sizes: what is known of a size in a location, and whose word each fact is (user ask T17a).

================  =========================================================================================
Precedence        (the first that says something wins)
================  =========================================================================================
site              what `autoscale.json` states of a bucket; put on top by `reconcile.catalogue`
packaged GPUs     where the packaged table knows more GPUs than the API reports (and their model and share)
resource SKU API  live, or as it was last answered
packaged          the table that comes with the program
================  =========================================================================================

What joined nodes were observed to have stands beside all of these: it is a resource of future nodes, not a fact about
the size (user ask T18a).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks.cloud.azure.packaged import packaged_price, packaged_size, priced_locations, proxied_locations
from autoscale_aks.model.sizes import FACT_NAMES, KnownSize, SizeFacts, SizePrices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoscale_aks.model.sizes import LiveSize, Reading

PACKAGED: Final = "packaged"
_MOST_STEPS: Final = 8
"""A location may borrow of one that borrows itself; one that borrows in a circle has nothing."""
_GPU_FACTS: Final = ("gpus", "gpu_model", "gpu_share")


def know_size(name: str, live: Reading[Mapping[str, LiveSize]]) -> KnownSize:
    """A size by its name in any letter case, with the location's live list laid over the packaged table."""
    packaged = packaged_size(name)
    listed = live.value.get(name.casefold()) if live.value else None
    facts: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, said in ((PACKAGED, packaged), (live.source, listed.facts if listed else None)):
        for fact in FACT_NAMES if said is not None else ():
            value = getattr(said, fact)
            if value is not None:
                facts[fact], sources[fact] = value, source
    if listed is not None and _says_all_vcpus(listed.facts, packaged):
        facts["vcpus_available"], sources["vcpus_available"] = listed.facts.vcpus, live.source
    if packaged is not None and listed is not None and (packaged.gpus or 0) > (listed.facts.gpus or 0):
        known = {fact: getattr(packaged, fact) for fact in _GPU_FACTS if getattr(packaged, fact) is not None}
        facts |= known
        sources |= dict.fromkeys(known, f"{PACKAGED} (the API says {listed.facts.gpus or 0} GPUs)")
    return KnownSize(
        facts=SizeFacts(name=(listed.facts if listed else packaged or SizeFacts(name=name)).name, **facts),
        sources=frozendict(sources),
        restriction=listed.restriction if listed else None,
        barred_zones=listed.barred_zones if listed else frozendict(),
        is_listed=None if not live.value else listed is not None,
        is_packaged=packaged is not None,
    )


def _says_all_vcpus(said: SizeFacts, packaged: SizeFacts | None) -> bool:
    """Whether the API, which says nothing of usable vCPUs, means all of them: the size has no constrained cores."""
    if said.vcpus is None or said.vcpus_available is not None:
        return False
    return packaged is None or packaged.vcpus != said.vcpus or packaged.vcpus_available == packaged.vcpus


def know_prices(
    name: str,
    location: str,
    live: Reading[Mapping[str, SizePrices]],
    overrides: Mapping[str, SizePrices],
    proxies: Mapping[str, str | None],
) -> tuple[SizePrices, Mapping[str, str]]:
    """Prices of a size and the source of each: the site's, the live list's, the packaged ones; None is unknown.

    Packaged prices are on demand only. A location that has none borrows those of `proxied-locations` (`proxies`
    changes that table; None takes an entry out).
    """
    found = SizePrices()
    sources: dict[str, str] = {}
    home, said_by = _packaged_place(location, proxies)
    packaged = packaged_price(home, name)
    for source, prices in (
        (said_by, SizePrices(regular=packaged)),
        (live.source, (live.value or {}).get(name.casefold(), SizePrices())),
        ("prices.overrides", overrides.get(name.casefold(), SizePrices())),
    ):
        if prices.regular is not None:
            found, sources["regular"] = replace(found, regular=prices.regular), source
        if prices.spot is not None:
            found, sources["spot"] = replace(found, spot=prices.spot), source
    return found, frozendict(sources)


def has_prices(location: str, proxies: Mapping[str, str | None]) -> bool:
    """Whether the packaged table has prices of a location, or of one that stands in for it."""
    return _packaged_place(location, proxies)[0] in priced_locations()


def _packaged_place(location: str, proxies: Mapping[str, str | None]) -> tuple[str, str]:
    """Where packaged prices are taken from, and how their source reads."""
    if location in priced_locations():
        return location, f"{PACKAGED} (2026-06)"
    proxy: str | None = location
    for _ in range(_MOST_STEPS):
        if proxy is None or proxy in priced_locations():
            break
        proxy = proxies[proxy] if proxy in proxies else proxied_locations().get(proxy)
    return (proxy, f"{PACKAGED} (2026-06, borrowed from {proxy})") if proxy else (location, PACKAGED)
