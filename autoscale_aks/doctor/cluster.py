"""Checks of the AKS cluster: reachable, versions, rights, pools, nodes, clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from autoscale_aks.reports.doctor import fail, ok, skipped, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.doctor.site import Site
    from autoscale_aks.reports.doctor import Finding

_AKS: Final = "Microsoft.ContainerService/managedClusters"
READ_ACTIONS: Final = (f"{_AKS}/read", f"{_AKS}/agentPools/read", f"{_AKS}/agentPools/machines/read")
WRITE_ACTIONS: Final = (
    f"{_AKS}/agentPools/write",
    f"{_AKS}/agentPools/delete",
    f"{_AKS}/agentPools/machines/write",
    f"{_AKS}/agentPools/deleteMachines/action",
)
"""What the requests need (aks-machine-api.md §1.3); the roles in conf/azure hold these and no others."""
_SKEW_S: Final = 5.0
_BAD_SKEW_S: Final = 120.0
_RIGHTS_FIX: Final = "give the identity a role of conf/azure (docs/azure-rights.md)"


def check_cluster(site: Site) -> Iterator[Finding]:
    """It is there, where we think it is, and it runs."""
    view, aks = site.service, site.config.aks
    if view.trouble:
        yield fail("cluster", f"{aks.cluster}: {view.trouble}", "check aks.subscription, resource_group and cluster")
        return
    yield ok("cluster", f"{aks.cluster} in {view.location}, Kubernetes {view.kubernetes_version}, {view.state}")
    if view.power is not None and view.power != "Running":
        yield fail("cluster", f"{aks.cluster} is {view.power}", f"az aks start --name {aks.cluster}")
    if aks.location is not None and view.location is not None and aks.location != view.location.lower():
        says = f"aks.location is {aks.location}, the cluster is in {view.location}"
        yield warn("cluster", says, f'set "location": "{view.location.lower()}": quota and prices are looked up there')


def check_clock(site: Site) -> Iterator[Finding]:
    """Tokens, leases and idle times need a clock that is right."""
    skew = site.service.skew_s
    if skew is None:
        yield skipped("clock", "the service did not say what time it is")
    elif abs(skew) <= _SKEW_S:
        yield ok("clock", "within seconds of the service's")
    else:
        says = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
        make = fail if abs(skew) > _BAD_SKEW_S else warn
        yield make("clock", says, "let this host set its clock by NTP (chrony, systemd-timesyncd)")


def check_versions(site: Site) -> Iterator[Finding]:
    """Both API versions are taken, because previews end (§1.2)."""
    view, aks = site.service, site.config.aks
    if view.pools_trouble:
        says = f"pools with {aks.pool_api_version}: {view.pools_trouble}"
        yield fail("API versions", says, "set aks.pool_api_version to a version that the message names")
    else:
        yield ok("API versions", f"pools: {aks.pool_api_version}")
    if not view.machines_tried:
        yield skipped("API versions", f"machines: {aks.machine_api_version} is tried once there is a pool for machines")
    elif view.machines_trouble:
        says = f"machines with {aks.machine_api_version}: {view.machines_trouble}"
        yield fail("API versions", says, "set aks.machine_api_version to a version that the message names")
    else:
        yield ok("API versions", f"machines: {aks.machine_api_version}")


def check_rights(site: Site) -> Iterator[Finding]:
    """The identity may do what the requests will need; asked of the service, nothing is tried out."""
    view = site.service
    if view.rights is None:
        yield skipped("rights", "the service did not tell which rights the identity has")
        return
    for actions, purpose, make in ((READ_ACTIONS, "reports", fail), (WRITE_ACTIONS, "autoscale and run", warn)):
        missing = view.missing(actions)
        if missing:
            yield make("rights", f"not enough for {purpose}: no {', '.join(missing)}", _RIGHTS_FIX)
        else:
            yield ok("rights", f"enough for {purpose}")


def check_pools(site: Site) -> Iterator[Finding]:
    """Each agent pool that node arrays use holds machines, or can be made."""
    known = {pool.name: pool for pool in site.pools}
    for name in site.config.agent_pools:
        pool = known.get(name)
        if pool is None:
            yield ok("agent pools", f"{name} does not exist yet; the first machine makes it")
        elif not pool.takes_machines:
            fix = "name another agent_pool in the node array: the mode of a pool cannot be changed"
            yield fail("agent pools", f"{name} is in mode {pool.mode}, not Machines", fix)
        elif pool.provisioning_state == "Failed":
            yield warn("agent pools", f"{name} is Failed", "it is put once more when a machine is wanted")
        else:
            yield ok("agent pools", f"{name}: mode Machines, {pool.provisioning_state}")


def check_batch_header(site: Site) -> Iterator[Finding]:
    """Whether fifty machines a request work on this cluster; only a batch can tell (batching.md B10)."""
    aks = site.config.aks
    if aks.batch_header == "off":
        fix = "unless this cluster refuses it, take aks.batch_header out"
        yield warn("batch header", "switched off: a request a machine", fix)
        return
    flag = site.ledger.flag(f"batch_honoured:{aks.cluster}")
    if flag is None:
        yield skipped("batch header", "no batch was sent to this cluster yet; the first one tells")
    elif flag == "yes":
        yield ok("batch header", "honoured by this cluster")
    else:
        fix = "azaks machines scale --batch asks anew; until then machines go out one a request"
        yield warn("batch header", "this cluster makes only the first machine of a batch", fix)


def check_nodes(site: Site) -> Iterator[Finding]:
    """The cluster's nodes can be listed, if they are to be."""
    if not site.config.aks.reads_nodes:
        says = "the Kubernetes API is not configured: whether a node is ready is the scheduler's word alone"
        yield skipped("nodes", says)
        return
    nodes = site.cloud.list_nodes(site.config.agent_pools)
    yield ok("nodes", f"{len(nodes):,} listed, {sum(node.ready for node in nodes):,} ready")
