"""What the schema cannot say: parts of the configuration that contradict each other.

The document these see has been pruned: every value that stands in it has the schema's type, but any may be missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.addresses import fault_of_url, is_loopback
from autoscale_aks.config.explaining import did_you_mean
from autoscale_aks.config.findings import Finding, listed, quoted, shown
from autoscale_aks.config.nodearray_checks import check_nodearrays, check_values
from autoscale_aks.config.references import check_references
from autoscale_aks.units import number_of, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from autoscale_aks.config.findings import Path

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ARM_URL: Final = ("aks", "arm_url")
_URLS: Final = ("arm_url", "authority_url", "kubernetes_url")
_KUBERNETES: Final = ("kubernetes_url", "kubernetes_config_file", "kubernetes_in_cluster")


_KUBERNETES_KEYS = frozenset({"kubernetes_url", "kubernetes_config_file", "kubernetes_in_cluster"})


def check_document(document: Mapping[str, Any], array_names: list[str]) -> Iterator[Finding]:
    """All cross checks. `array_names` are the node arrays as written, good or bad."""
    yield from _check_aks(document.get("aks", {}))
    yield from check_nodearrays(document)
    policy = document.get("policy", {})
    for key in ("idle_timeout", "boot_timeout"):
        yield from _check_timeout(document.get(key), (key,), array_names)
        yield from _check_timeout(policy.get(key), ("policy", key), array_names)
        if key in document and key in policy:
            yield Finding(("policy", key), f"{key} stands at the top level too; keep one of them")
    yield from _check_timeout(policy.get("min_lifetime"), ("policy", "min_lifetime"), array_names)
    for stage, timeout in policy.get("boot_stages", {}).items():
        yield from _check_timeout(timeout, ("policy", "boot_stages", stage), array_names)
    if "lease" in document.get("loop", {}) and _KUBERNETES_KEYS.isdisjoint(document.get("aks", {})):
        text = "needs the cluster's Kubernetes API; give aks.kubernetes_url"
        yield Finding(("loop", "lease"), text, about=(("aks", "kubernetes_url"),))
    yield from check_references(document)
    for name, resource in document.get("shared_resources", {}).items():
        yield from _check_shared(resource, ("shared_resources", name))


def _check_aks(aks: Mapping[str, Any]) -> Iterator[Finding]:
    for key in _URLS:
        if key in aks and (fault := fault_of_url(aks[key])):
            yield Finding(("aks", key), fault)
    credential = aks.get("credential", [])
    local = is_loopback(aks.get("arm_url", ""))
    subscription = aks.get("subscription")
    if subscription and not local and not _GUID.fullmatch(subscription):
        wanted = "an id of the form 00000000-0000-0000-0000-000000000000"
        yield Finding(
            ("aks", "subscription"),
            f"expected {wanted}, found {shown(subscription)}; `az account show --query id` prints it",
            about=(_ARM_URL,),
        )
    if aks.get("cloud") == "custom":
        if "arm_url" not in aks:
            yield Finding(("aks", "arm_url"), "is missing; a custom cloud's address must be given")
        if "token_scope" not in aks and credential != ["emulator"]:
            yield Finding(
                ("aks", "token_scope"),
                "is missing; a custom cloud's scope must be given, it does not follow from arm_url",
                about=(("aks", "credential"),),
            )
    if "emulator" in credential:
        yield from _check_emulator(credential, local)
    if "kubernetes_ca_file" in aks and "kubernetes_url" not in aks:
        about = (("aks", "kubernetes_url"),)
        yield Finding(("aks", "kubernetes_ca_file"), "is of no use without kubernetes_url; give that too", about=about)
    ways = [key for key in _KUBERNETES if aks.get(key)]
    for key in ways[1:]:
        yield Finding(("aks", key), f"stands beside {ways[0]}; the Kubernetes API is reached in one way, keep one")
    if "kubernetes_context" in aks and "kubernetes_config_file" not in aks:
        about = (("aks", "kubernetes_config_file"),)
        yield Finding(("aks", "kubernetes_context"), "is of no use without kubernetes_config_file", about=about)


def _check_emulator(credential: list[Any], local: bool) -> Iterator[Finding]:
    if len(credential) > 1:
        yield Finding(("aks", "credential"), '"emulator" stands alone; take it or the others out')
    if not local:
        yield Finding(
            ("aks", "credential"),
            '"emulator" is for an emulator on this host; set arm_url to its address (http://127.0.0.1:PORT) or '
            "name another credential",
            about=(_ARM_URL,),
        )


def _check_timeout(timeout: object, path: Path, array_names: list[str]) -> Iterator[Finding]:
    if not isinstance(timeout, dict):
        return
    for name in timeout:
        if name == "default" or name in array_names:
            continue
        guess = did_you_mean(name, [*array_names, "default"])
        known = listed([quoted(known) for known in [*array_names[:20], "default"]])
        hint = f'did you mean "{guess}"?' if guess else f"known are {known}"
        yield Finding((*path, name), f"there is no node array of this name; {hint}")


def _check_shared(resource: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    amounts = [key for key in ("initial", "current") if key in resource]
    if "value" in resource and amounts:
        yield Finding(path, f'has both "value" and "{amounts[0]}"; a stock has initial and current, a fact has value')
    if amounts == ["current"]:
        yield Finding((*path, "initial"), "is missing; it says how many there are in all, current how many are left")
    faults = list(check_values(resource, path))
    yield from faults
    if not faults:
        yield from _check_stock(resource, path, amounts)


def _check_stock(resource: Mapping[str, Any], path: Path, amounts: list[str]) -> Iterator[Finding]:
    numbers = {key: number_of(parse_value(resource[key])) for key in amounts}
    for key, number in numbers.items():
        if number is None:
            yield Finding(
                (*path, key), f'expected a number or a size such as "memory::4g", found {shown(resource[key])}'
            )
    initial, current = numbers.get("initial"), numbers.get("current")
    if initial is not None and current is not None and current > initial:
        yield Finding((*path, "current"), "more are left than there are; it may be at most initial")
