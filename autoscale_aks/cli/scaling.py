"""`azaks machines scale`: exactly so many machines of one size, at once (batching.md B1, B2, B6, B11)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from frozendict import frozendict

from autoscale_aks.cli.direct import direct_client
from autoscale_aks.cli.logs import configure_logging
from autoscale_aks.cli.main import DONE, IN_PART, UNAVAILABLE
from autoscale_aks.cli.options import config_option, format_option, quiet_option
from autoscale_aks.cli.output import console, print_json
from autoscale_aks.cli.scaling_report import ScaleProgress, append_record, print_record, records_writable
from autoscale_aks.cloud.aks.endpoints import check_pool_name
from autoscale_aks.cloud.aks.scale import Watch, check_split, scale_names
from autoscale_aks.cloud.aks.wire import MAX_PER_PUT
from autoscale_aks.config import load_config
from autoscale_aks.errors import InputError, Problem
from autoscale_aks.model.launch import OWNER_TAG, FaultKind, MachineTemplate
from autoscale_aks.reconcile.names import NODEARRAY_TAG, PLAN_TAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from autoscale_aks.cloud.aks.client import AksClient
    from autoscale_aks.cloud.aks.record import OperationRecord
    from autoscale_aks.config import Config, NodeArrayConfig

_NO_SERVICE: Final = frozenset({FaultKind.AUTH.value, FaultKind.THROTTLE.value, FaultKind.TRANSIENT.value})
"""Kinds of failure that say nothing of what was asked for: the service let nothing be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be made: so many of one kind, by so many workers."""

    template: MachineTemplate
    zones: tuple[str, ...]
    count: int
    workers: int
    use_batch_api: bool


@click.command("scale")
@config_option
@click.option("--pool", metavar="NAME", help="Agent pool; it must be there.")
@click.option("--nodearray", metavar="NAME", help="Node array whose settings the machines get; by default the pool's.")
@click.option("--vm-size", metavar="SIZE", help="VM size; by default the only one that the node array offers.")
@click.option("--count", type=click.IntRange(min=1), required=True, help="How many machines more.")
@click.option("--workers", type=int, help="Workers, each with the same share; by default one for every 50.")
@click.option("--batch/--no-batch", "batch", default=None, help="One PUT a worker, or one a machine.")
@click.option(
    "--header", type=click.Choice(["all", "additional"]), help="Form of the batch header; by default aks.batch_header."
)
@click.option("--zone", "zones", multiple=True, metavar="ZONE", help="Zone; given again, machines take them in turn.")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Until the nodes are ready, and measure.")
@click.option("--wait-timeout", type=click.FloatRange(min=0, min_open=True), default=1200.0, show_default=True,
              help="Seconds to wait.")  # fmt: skip
@click.option("--records", "records", type=click.Path(dir_okay=False, path_type=Path),
              help="File that gets the record, a JSON line; by default operations.jsonl by the ledger.")  # fmt: skip
@format_option
@quiet_option
def scale(config_path: Path, **options: Any) -> int:
    """Create COUNT machines more: an exact multiple of the workers, at most 50 for each.

    Counts that do not split evenly are refused before anything is sent. Each worker's machines are one chunk and go
    out in one PUT with the batch header, or one by one with --no-batch. One list proves what exists.

    \b
    Exit status: 0 all made (and ready, with --wait); 1 some were refused,
    failed or are unknown; 5 the service let nothing be done.
    Example: azaks machines scale -c autoscale.json --pool htc --count 1000
    """
    config = _with_header(load_config(config_path), options)
    configure_logging(config.logging)
    order = read_order(config, options)
    if options["wait"] and not config.aks.reads_nodes:
        fault = "needs a Kubernetes API: aks.kubernetes_url, kubernetes_config_file or kubernetes_in_cluster"
        raise InputError([Problem("--wait", fault)])
    records = options["records"] or config.ledger.path.with_name("operations.jsonl")
    records_writable(records)
    out = console(stderr=options["form"] == "json")
    record, names = _run(config, order, options, out)
    notes = []
    if options["wait"] and not record.failed_machines and not record.readiness:
        notes.append("readiness was not measured: the nodes could not be read")
    unwritten = append_record(records, record)
    if unwritten is not None:
        notes.append(f"{unwritten}; it is {record.to_json()}")
    if options["form"] == "json":
        print_json({**record.to_dict(), "first_machine": names[0], "last_machine": names[-1], "records": str(records)})
    else:
        print_record(record, names, out)
        out.print(f"record: {records}", style="dim", markup=False, soft_wrap=True)
    for note in notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    status = _status(record)
    return IN_PART if notes and status == DONE else status


def _with_header(config: Config, options: dict[str, Any]) -> Config:
    """The header form that is asked for; `--batch` overrules a site that has it off."""
    form = options["header"]
    if form is None and options["batch"] is True and config.aks.batch_header == "off":
        form = "all"
    return config if form is None else replace(config, aks=replace(config.aks, batch_header=form))


def _run(
    config: Config, order: Order, options: dict[str, Any], out: Console
) -> tuple[OperationRecord, tuple[str, ...]]:
    with direct_client(config, fresh=options["batch"] is True) as client:
        _check_pool(client, order.template.pool)
        names = scale_names(order.count, client.effects.now(), config.aks.owner)
        try:
            with ScaleProgress(out, order.workers, order.count, quiet=options["quiet"]) as progress:
                watch_s = options["wait_timeout"] if options["wait"] else 0.0
                return _scale(client, order, names, progress, watch_s), names
        except KeyboardInterrupt:
            out.print(f"interrupted; machines {names[0]} … {names[-1]} may exist: azaks machines list shows them")
            raise


def _scale(
    client: AksClient, order: Order, names: Sequence[str], progress: ScaleProgress, watch_s: float
) -> OperationRecord:
    return client.scale_machine(
        replace(order.template, tags=frozendict({**order.template.tags, PLAN_TAG: _run_of(names)})),
        order.count,
        order.workers,
        order.use_batch_api,
        names=names,
        zones=order.zones,
        watch=Watch(timeout_s=watch_s, on_chunk=progress.chunk_done, on_ready=progress.ready),
    )


def _run_of(names: Sequence[str]) -> str:
    """What the names of one run share: it stands in the plan's place of their tags."""
    return f"direct-{names[0].split('-')[1]}"


def _status(record: OperationRecord) -> int:
    if record.success:
        return DONE
    nothing = not record.successful_machines and not record.unknown
    return UNAVAILABLE if nothing and set(record.failed_by_kind) <= _NO_SERVICE else IN_PART


def _check_pool(client: AksClient, pool: str) -> None:
    view = client.get_pool(pool)
    if view is None:
        fault = f'there is no agent pool "{pool}" in the cluster; next: azaks pool create --pool {pool}'
    elif not view.takes_machines:
        fault = f'pool "{pool}" is in mode {view.mode or "unknown"}; machines need a pool in Machines mode'
    else:
        return
    raise InputError([Problem("--pool", f"{fault}. Nothing was sent")])


def read_order(config: Config, options: dict[str, Any]) -> Order:
    """What the arguments mean with this configuration. Raises InputError with every problem, before any request."""
    array = _nodearray(config, options["pool"], options["nodearray"], options["vm_size"])
    template = _template(config, array, options)
    zones = _zones(array, template.vm_size, options["zones"])
    workers = options["workers"] if options["workers"] is not None else -(-options["count"] // MAX_PER_PUT)
    batch = options["batch"] if options["batch"] is not None else config.aks.batch_header != "off"
    try:
        check_split(options["count"], workers)
    except ValueError as error:
        where = "--count" if options["workers"] is None else "--workers"
        raise InputError([Problem(where, f"{error}. Nothing was sent")]) from error
    return Order(template=template, zones=zones, count=options["count"], workers=workers, use_batch_api=batch)


def _nodearray(config: Config, pool: str | None, nodearray: str | None, vm_size: str | None) -> NodeArrayConfig | None:
    """The node array that is meant; None for a pool that no node array uses."""
    if nodearray is not None:
        found = config.nodearrays.get(nodearray)
        if found is None:
            known = ", ".join(config.nodearrays)
            raise InputError([Problem("--nodearray", f'there is no node array "{nodearray}"; known are {known}')])
        if pool is not None and pool != found.array.agent_pool:
            raise InputError(
                [Problem("--pool", f'node array "{nodearray}" uses pool {found.array.agent_pool}, not {pool}')]
            )
        return found
    if pool is None:
        raise InputError([Problem("--pool", "is missing; give --pool or --nodearray")])
    users = [array for array in config.nodearrays.values() if array.array.agent_pool == pool]
    offering = [array for array in users if vm_size is None or vm_size in _sizes(array)] or users
    if len(offering) > 1:
        names = ", ".join(array.array.name for array in offering)
        raise InputError([Problem("--nodearray", f"is missing; several use pool {pool}: {names}")])
    return offering[0] if offering else None


def _sizes(array: NodeArrayConfig) -> tuple[str, ...]:
    return tuple(dict.fromkeys(offering.vm_size for offering in array.array.offerings))


def _template(config: Config, array: NodeArrayConfig | None, options: dict[str, Any]) -> MachineTemplate:
    size = options["vm_size"]
    if array is None:
        try:
            check_pool_name(options["pool"])
        except ValueError as error:
            raise InputError([Problem("--pool", str(error))]) from error
        if size is None:
            raise InputError([Problem("--vm-size", f"is missing; no node array uses pool {options['pool']}")])
        mark = frozendict({OWNER_TAG: config.aks.owner})
        return MachineTemplate(pool=options["pool"], vm_size=size, tags=mark, node_labels=mark)
    sizes = _sizes(array)
    if size is None and len(sizes) > 1:
        raise InputError([Problem("--vm-size", f"is missing; {array.array.name} offers {', '.join(sizes)}")])
    try:
        template = array.template_for(size or sizes[0])
    except ValueError as error:
        raise InputError([Problem("--vm-size", f"{error}; the autoscaler could not use such machines")]) from error
    return replace(template, tags=frozendict({**template.tags, NODEARRAY_TAG: array.array.name}))


def _zones(array: NodeArrayConfig | None, vm_size: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The zones asked for, else all in which the node array offers the size."""
    if array is None:
        return wanted
    offered = [offering.zone for offering in array.array.offerings if offering.vm_size == vm_size]
    strange = [zone for zone in wanted if zone not in offered]
    if strange:
        known = ", ".join(zone or "no zone" for zone in offered)
        message = f"{array.array.name} does not offer {vm_size} in zone {', '.join(strange)}, only in {known}"
        raise InputError([Problem("--zone", message)])
    return wanted or tuple(zone for zone in offered if zone is not None)
