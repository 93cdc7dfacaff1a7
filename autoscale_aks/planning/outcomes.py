"""What a finished placement means for single jobs and single nodes."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from frozendict import frozendict

from autoscale_aks.matching.profile import MEMORY
from autoscale_aks.model.plan import Placement
from autoscale_aks.units import Size, exact, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.planning.packing import Block, State
    from autoscale_aks.units import Value


def share_out(placements: Sequence[Placement], first_job: int, wanted: Sequence[int]) -> list[Placement]:
    """Give a heap's placements to its jobs in order: job `first_job + i` gets the next `wanted[i]` slots."""
    shared: list[Placement] = []
    job, open_slots = 0, wanted[0] if wanted else 0
    for placement in placements:
        node, last, each = placement.first_node, placement.first_node + placement.nodes, placement.slots_each
        room = each
        while node < last:
            while not open_slots and job + 1 < len(wanted):
                job += 1
                open_slots = wanted[job]
            if room == each and open_slots >= each:
                nodes = min(last - node, open_slots // each)
                shared.append(Placement(first_job + job, node, nodes, each))
                node += nodes
                open_slots -= nodes * each
                continue
            slots = min(room, open_slots)
            shared.append(Placement(first_job + job, node, 1, slots))
            open_slots -= slots
            room -= slots
            if not room:
                node, room = node + 1, each
    return shared


def left_on_nodes(state: State) -> tuple[Mapping[str, Value], ...]:
    """What is left on each node, by resource; nodes that offer nothing have nothing left."""
    nothing: Mapping[str, Value] = frozendict()
    left: list[Mapping[str, Value]] = [nothing] * state.next_node
    for blocks in state.blocks.values():
        for block in blocks:
            left[block.first : block.first + block.count] = [_left_on(state, block)] * block.count
    return tuple(left)


def _left_on(state: State, block: Block) -> Mapping[str, Value]:
    kind = block.profile.kind
    dimensions = state.space.dimensions
    found: dict[str, Value] = {}
    for name, value in kind.resources.items():
        unit = kind.units.get(name)
        number = dimensions.get(MEMORY if unit else name)
        amount = None if number is None else block.state.free[number]
        if amount is None or number_of(value) is None:
            found[name] = value
        elif isinstance(value, Size):
            found[name] = Size(amount)
        else:
            found[name] = exact(Fraction(amount) / unit) if unit else amount
    return frozendict(found)
