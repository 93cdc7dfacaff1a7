"""What the direct tools share: a client without a cycle, whose pools are meant, and asking before something goes.

They write no ledger entry for a machine: a cycle that runs meanwhile holds the lock, and the machines carry the
ownership mark, by which the next cycle adopts them (docs/aks.md).
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from autoscale_aks.cli.learned import keep_learned
from autoscale_aks.cli.wiring import build_client, writing_locks
from autoscale_aks.clock import SystemClock
from autoscale_aks.cloud.aks.wire import format_timestamp
from autoscale_aks.cloud.gate import Gate
from autoscale_aks.errors import (
    AuthError,
    CloudError,
    InputError,
    LedgerError,
    LockHeldError,
    LockLostError,
    Problem,
    ThrottledError,
)
from autoscale_aks.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console

    from autoscale_aks.cloud.aks.client import AksClient
    from autoscale_aks.config import AksConfig, Config
    from autoscale_aks.model.launch import Machine

log = logging.getLogger(__name__)


@contextmanager
def direct_client(config: Config, *, fresh: bool = False, only_looks: bool = False) -> Iterator[AksClient]:
    """A client that knows what earlier runs learned of the cluster, and leaves behind what this one learns.

    `fresh` tries the batch header anew; one that `only_looks` soon says what cannot be reached. A ledger that cannot be
    read or written is no reason to fail: it only holds hints.
    """
    with _client(config, only_looks=only_looks) as client:
        before = client.remembered
        if fresh:
            client.forget_batch()
        try:
            yield client
        except CloudError as error:
            raise _explained(error, config.aks) from error
        finally:
            if client.remembered != before:
                _keep(config, client)


def _explained(error: CloudError, aks: AksConfig) -> CloudError:
    """The error with where it came from and what to do next."""
    where = f"cluster {aks.cluster} at {aks.arm_url}"
    if isinstance(error, ThrottledError):
        after = f"try again after {format_timestamp(error.retry_at)}"
        return ThrottledError(f"{where}: {error}; next: {after}", error.retry_at)
    if isinstance(error, AuthError):
        role = f'"Azure Kubernetes Service Contributor Role" on resource group {aks.resource_group}'
        return AuthError(f"{where}: {error}; next: see that aks.credential names an identity with the role {role}")
    return CloudError(f"{where}: {error}; next: see that aks names the right cluster and that this host reaches it")


@contextmanager
def _client(config: Config, *, only_looks: bool) -> Iterator[AksClient]:
    ledger = _open_ledger(config)
    try:
        client = build_client(config, ledger, only_looks=only_looks)
    finally:
        if ledger is not None:
            ledger.close()
    with client:
        yield client


def _open_ledger(config: Config) -> Ledger | None:
    try:
        return Ledger.open(config.ledger.path, now=SystemClock().now(), read_only=True)
    except LedgerError as error:
        log.warning("what earlier runs learned of the cluster is not known: %s", error)
        return None


def _keep(config: Config, client: AksClient) -> None:
    try:
        clock = SystemClock()
        with (
            writing_locks(config, clock, Gate(clock.now)),
            Ledger.open(config.ledger.path, now=clock.now()) as ledger,
        ):
            keep_learned(ledger, client, config.aks)
    except (LockHeldError, LockLostError, LedgerError, CloudError) as error:
        log.info("what was learned of the cluster is not kept: %s", error)


def pool_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--pool NAME` and `--nodearray NAME`, each as often as wanted; without any, all pools of the configuration."""
    pool = click.option("--pool", "pools", multiple=True, metavar="NAME", help="Agent pool; may be given again.")
    array = click.option(
        "--nodearray", "nodearrays", multiple=True, metavar="NAME", help="The agent pool of this node array."
    )
    return pool(array(command))


def chosen_pools(config: Config, pools: Sequence[str], nodearrays: Sequence[str]) -> tuple[str, ...]:
    """The pools that are meant. Raises InputError for a node array that the configuration lacks."""
    unknown = [name for name in nodearrays if name not in config.nodearrays]
    if unknown:
        known = ", ".join(config.nodearrays)
        raise InputError(
            [Problem("--nodearray", f'there is no node array "{name}"; known are {known}') for name in unknown]
        )
    of_arrays = [config.nodearrays[name].array.agent_pool for name in nodearrays]
    return tuple(dict.fromkeys([*pools, *of_arrays])) or tuple(config.agent_pools)


def list_whole(client: AksClient, pool: str) -> tuple[Machine, ...]:
    """All machines of a pool. Raises CloudError when a page is missing: then absence proves nothing."""
    listing = client.list_machines(pool)
    if not listing.complete:
        raise CloudError(f"pool {pool} cannot be listed whole ({listing.detail}); nothing was changed, try again")
    return listing.machines


def waiting(out: Console, what: str, *, quiet: bool) -> AbstractContextManager[object]:
    """Something that moves on a terminal while one waits; nothing elsewhere."""
    return out.status(what) if out.is_terminal and not quiet else nullcontext()


def is_agreed(question: str, *, yes: bool) -> bool:
    """Ask on a terminal. Raises InputError where nobody can be asked and `--yes` was not given."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError([Problem("--yes", f"is needed where nobody can be asked: {question} Nothing was changed")])
    return click.confirm(question, default=False, err=True)


def refuse_strangers(strangers: Sequence[Machine], owner: str, allowed: bool) -> None:
    """Raise InputError, before anything is sent, for machines without our mark unless they were asked for."""
    if not strangers or allowed:
        return
    names = ", ".join(machine.name for machine in strangers[:5]) + (" …" if strangers[5:] else "")
    raise InputError(
        [
            Problem(
                "machines",
                f'{len(strangers)} do not carry the mark of owner "{owner}" ({names}); nothing was deleted. '
                "Leave them to whoever made them, or repeat with --even-if-not-ours",
            )
        ]
    )


strangers_option = click.option(
    "--even-if-not-ours", "strangers", is_flag=True, help="Also machines without this configuration's owner mark."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
