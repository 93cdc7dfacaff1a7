"""Queues that like some sizes and node arrays more than others, under limits, with gangs and nodes that exist."""

from __future__ import annotations

from typing import Any

from builders import array, job, scenario
from hypothesis import strategies as st

SIZES = ("S1", "S2", "S3", "S4")
Raw = dict[str, Any]

maybe_few = st.none() | st.integers(1, 4)


@st.composite
def node_arrays(draw: st.DrawFn, name: str, sizes: dict[str, Raw]) -> Raw:
    offered = draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=3, unique=True))
    buckets = [
        {**sizes[size], **({} if (most := draw(maybe_few)) is None else {"max_count": most})} for size in offered
    ]
    return array(name, *buckets, priority=draw(st.integers(0, 2)))


@st.composite
def choosy_jobs(draw: st.DrawFn, name: str) -> Raw:
    needs = {"ncpus": draw(st.integers(1, 6)), "mem": f"memory::{draw(st.integers(1, 12))}g"}
    liked = draw(st.lists(st.sampled_from(SIZES), max_size=4, unique=True))
    wanted = [{"node.vm_size": liked}] if liked else []
    if draw(st.integers(0, 4)) == 0:
        wanted.append({"node.nodearray": draw(st.permutations(["a", "b"]))})
    shape = draw(st.sampled_from(["array", "array", "records", "scatter", "gang", "alone"]))
    extra: Raw = {
        "array": {"iterations": draw(st.integers(1, 20))},
        "records": {"count": draw(st.integers(1, 10))},
        "scatter": {"iterations": draw(st.integers(1, 5)), "packing_strategy": "scatter"},
        "gang": {"node_count": draw(st.integers(1, 3))},
        "alone": {"iterations": draw(st.integers(1, 6))},
    }[shape]
    alone = [{"exclusive-task": True}] if shape == "alone" else []
    return job(name, needs, *wanted, *alone, **extra)


@st.composite
def choosy_queues(draw: st.DrawFn) -> Raw:
    sizes = {}
    for name in SIZES:
        cpus = draw(st.sampled_from([2, 3, 4, 6, 8, 12, 16]))
        price = draw(st.integers(50, 200)) * cpus / 1000
        sizes[name] = {
            "vm_size": name, "vcpu_count": cpus, "memory_gb": cpus * draw(st.integers(1, 4)), "price": price,
            "vm_family": draw(st.sampled_from("xy")),
        }  # fmt: skip
    arrays = [draw(node_arrays(name, sizes)) for name in draw(st.sampled_from(["a", "ab"]))]
    there = [
        {"name": f"{one['name']}-{number}", "nodearray": one["name"], "vm_size": one["buckets"][0]["vm_size"],
         "hostname": f"ip-{number}"}
        for number in range(draw(st.integers(0, 2))) for one in [draw(st.sampled_from(arrays))]
    ]  # fmt: skip
    limits = {name: most for name in ("cluster_max_cores", "cluster_max_nodes") if (most := draw(maybe_few))}
    limits = {name: most * (16 if name.endswith("cores") else 2) for name, most in limits.items()}
    jobs = [draw(choosy_jobs(f"j{number}")) for number in range(draw(st.integers(1, 6)))]
    return scenario(*jobs, arrays=arrays, nodes=there, limits=limits, policy={})
