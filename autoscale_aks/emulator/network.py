"""Subnets of the emulated network: who holds addresses in them (`EmulatorSettings.subnets`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscale_aks.emulator import problems
from autoscale_aks.emulator.gate import json_response
from autoscale_aks.emulator.settings import VNET, subnet_id

if TYPE_CHECKING:
    from starlette.responses import Response

    from autoscale_aks.emulator.gate import Call
    from autoscale_aks.emulator.store import Machine, Store


def get_subnet(call: Call) -> Response:
    """GET subnet: its range, and one IP configuration for each address in use."""
    store, name = call.service.store, call.param("subnet")
    store.check_subscription(call.param("subscription"))
    names = {known.casefold(): known for known in store.settings.subnets}
    name = names.get(name.casefold(), name)
    facts = store.settings.subnets.get(name)
    if facts is None or call.param("vnet").casefold() != VNET:
        raise problems.arm(404, "NotFound", f"Resource '{name}' not found.")
    spec = next(iter(store.clusters.values())).spec
    held = [f"other-{number}" for number in range(facts.get("used_by_others", 0))]
    held += [machine.node_name for machine in _machines(store, name, facts)]
    configurations = [
        {"id": f"{subnet_id(spec, name).split('/providers/')[0]}/providers/Microsoft.Network/networkInterfaces/{one}"}
        for one in held
    ]
    properties = {"addressPrefix": facts["prefix"], "provisioningState": "Succeeded"}
    if configurations:
        properties["ipConfigurations"] = configurations
    return json_response({"id": subnet_id(spec, name), "name": name, "properties": properties})


def _machines(store: Store, name: str, facts: Any) -> list[Machine]:
    """Machines whose VM stands in the subnet: those that name it, and those of its pools that name none."""
    found: list[Machine] = []
    for pool in store.pools():
        with pool.lock:
            for machine in pool.listed():
                named = str(machine.template["network"].get("vnetSubnetID") or "")
                is_here = named.casefold().endswith(f"/{name}".casefold()) if named else pool.name in facts["pools"]
                found += [machine] if is_here and machine.holds_quota else []
    return found
