"""The client through a machine's whole life: against the emulator, or a real cluster (tests/contract/README.md)."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contract import contract_target
from contract.contract_target import PATIENCE_S, emulated, read_environment, real

from autoscale_aks.cloud.aks.client import AksClient
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.model.launch import OWNER_TAG, LaunchRequest, LaunchState, Machine, MachineSpec, MachineTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from contract.contract_target import Target


@contextmanager
def reached() -> Iterator[tuple[Target, AksClient]]:
    """The service these tests are pointed at, and a client of it."""
    cluster = read_environment(os.environ)
    service = emulated({}, (), new_pool=True) if cluster is None else real(cluster, new_pool=True)
    with service as target:
        clock = target.emulator.clock if target.emulator is not None else None
        effects = Effects(now=clock.now, sleep=lambda s: clock.advance(s) and None) if clock is not None else Effects()
        with AksClient(target.endpoints, target.tokens, effects=effects) as client:
            yield target, client


def ours(target: Target, client: AksClient) -> list[Machine]:
    listing = client.list_machines(target.pool)
    assert listing.complete, listing.detail
    return [machine for machine in listing.machines if machine.name.startswith(target.variables["m"])]


def wait_until(target: Target, client: AksClient, done: Callable[[Sequence[Machine]], bool]) -> Sequence[Machine]:
    """Our machines, once they are as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    while not done(machines := ours(target, client)):
        assert time.monotonic() < deadline, machines
        if target.emulator is None:
            contract_target.pause()
        else:
            target.wait(30)
    return machines


def test_a_pool_and_its_machines_are_made_proved_and_deleted() -> None:
    """§2.1, §4, §7.4, §7.5; whether the batch header is honoured is found out either way (§4.1)."""
    with reached() as (target, client):
        client.ensure_pool(target.pool)
        view = client.get_pool(target.pool)
        assert view is not None
        assert (view.mode, view.provisioning_state) == ("Machines", "Succeeded")
        client.ensure_pool(target.pool)

        mark = {OWNER_TAG: "contract"}
        template = MachineTemplate(pool=target.pool, vm_size=target.variables["size"], tags=mark, node_labels=mark)
        names = [f"{target.variables['m']}{number}" for number in (1, 2, 3)]
        request = LaunchRequest(
            chunk_id="chunk_0", template=template, machines=tuple(MachineSpec(name=name) for name in names)
        )
        (chunk,) = client.create_machines([request])
        assert [(each.name, each.state) for each in chunk.outcomes] == [(name, LaunchState.ACCEPTED) for name in names]
        assert client.batch_honoured in {True, False}

        (again,) = client.create_machines([request])
        assert again.puts == 0
        assert {each.state for each in again.outcomes} == {LaunchState.ACCEPTED}

        made = wait_until(target, client, lambda found: all(each.provisioning_state == "Succeeded" for each in found))
        assert sorted(machine.name for machine in made) == sorted(names)
        assert {machine.tags.get(OWNER_TAG) for machine in made} == {"contract"}
        assert {machine.vm_size.lower() for machine in made} == {target.variables["size"].lower()}
        assert all(machine.node_name and machine.resource_id and machine.created_at for machine in made)

        outcome = client.delete_machines(target.pool, [*names, f"{target.variables['m']}never"])
        assert outcome.refused == ()
        assert all(machine.is_deleting for machine in ours(target, client))
        assert wait_until(target, client, lambda found: not found) == []
        assert client.delete_machines(target.pool, names).refused == ()
