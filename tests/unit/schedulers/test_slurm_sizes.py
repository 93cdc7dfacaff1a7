"""How many slots, and how much on each. The numbers are what squeue 22.05 printed for the sbatch call beside them."""

from __future__ import annotations

from typing import Any

import pytest
from slurm_lines import line, read

from autoscale_aks.model.job import PackingStrategy

PACK, SCATTER = "pack", "scatter"

CASES: list[tuple[str, dict[str, str], tuple[str, int], dict[str, Any]]] = [
    ("-n6 -c2 --mem=3G on 4-CPU nodes: 3 GiB on each of the three nodes Slurm expects",
     {"NumNodes": "3", "NumCPUs": "12", "NumTasks": "6", "cpus_per_task": "2", "MinCpus": "2", "MinMemory": "3072M",
      "tres_alloc": "cpu=12,mem=3G,node=1,billing=12"},
     (SCATTER, 3), {"ncpus": 4, "mem": "memory::3g"}),
    ("-n3 --mem=3G on one node: packed, the memory shared out",
     {"NumCPUs": "3", "NumTasks": "3", "MinMemory": "3072M", "tres_alloc": "cpu=3,mem=3G,node=1,billing=3"},
     (PACK, 3), {"ncpus": 1, "mem": "memory::1g"}),
    ("-N2 -n4 -c2 --mem=1000: per node",
     {"NumNodes": "2", "NumCPUs": "8", "NumTasks": "4", "cpus_per_task": "2", "MinCpus": "2", "MinMemory": "1000M",
      "tres_alloc": "cpu=8,mem=2000M,node=2,billing=8"},
     (SCATTER, 2), {"ncpus": 4, "mem": "memory::1000m"}),
    ("-n4 --ntasks-per-node=2 --mem=1000: per node, the nodes from the tasks",
     {"NumNodes": "2", "NumCPUs": "4", "NumTasks": "4", "NTPerNode": "2", "MinCpus": "2", "MinMemory": "1000M",
      "tres_alloc": "cpu=4,mem=1000M,node=1,billing=4"},
     (SCATTER, 2), {"ncpus": 2, "mem": "memory::1000m"}),
    ("-n20 --ntasks-per-node=3: seven nodes, memory per CPU",
     {"NumNodes": "7", "NumCPUs": "20", "NumTasks": "20", "NTPerNode": "3", "MinCpus": "3",
      "tres_alloc": "cpu=20,mem=10000M,node=1,billing=20"},
     (SCATTER, 7), {"ncpus": 3, "mem": "memory::1500m"}),
    ("-N4 -n10: three tasks on the fullest node",
     {"NumNodes": "4", "NumCPUs": "10", "NumTasks": "10", "tres_alloc": "cpu=10,mem=5000M,node=4,billing=10"},
     (SCATTER, 4), {"ncpus": 3, "mem": "memory::1500m"}),
    ("-N2-3 -n12: the least",
     {"NumNodes": "3", "NumCPUs": "12", "NumTasks": "12", "tres_alloc": "cpu=12,mem=6000M,node=2,billing=12"},
     (SCATTER, 2), {"ncpus": 6, "mem": "memory::3000m"}),
    ("--mem-per-cpu=777 -n7 -c3",
     {"NumNodes": "7", "NumCPUs": "21", "NumTasks": "7", "cpus_per_task": "3", "MinCpus": "3", "MinMemory": "777M",
      "tres_alloc": "cpu=21,mem=16317M,node=1,billing=21"},
     (PACK, 7), {"ncpus": 3, "mem": "memory::2331m"}),
    ("-n1 --mincpus=3: the larger one",
     {"MinCpus": "3", "tres_alloc": "cpu=1,mem=500M,node=1,billing=1"},
     (SCATTER, 1), {"ncpus": 3, "mem": "memory::1500m"}),
    ("-O -n6: one CPU for six tasks",
     {"NumTasks": "6", "NumCPUs": "1", "tres_alloc": "cpu=1,mem=500M,node=1,billing=1"},
     (SCATTER, 1), {"ncpus": 1, "mem": "memory::500m"}),
    ("a total that was rounded is replaced by the exact product",
     {"NumNodes": "150", "NumCPUs": "600", "NumTasks": "600", "MinMemory": "3500M",
      "tres_alloc": "cpu=600,mem=2050.78G,node=150,billing=600"},
     (SCATTER, 150), {"ncpus": 4, "mem": "memory::14000m"}),
    ("a newer Slurm: CPUs and GPUs per task in tres-per-task",
     {"NumTasks": "2", "NumCPUs": "16", "cpus_per_task": "N/A", "MinMemory": "1000M",
      "tres_per_task": "cpu=8,gres/gpu:h200=1", "tres_alloc": "cpu=16,mem=16000M,node=1,billing=16"},
     (PACK, 2), {"ncpus": 8, "mem": "memory::8000m", "ngpus": 1}),
    ("--gres=gpu:2 -n8 without nodes: two GPUs on each node, so tasks cannot be spread at will",
     {"NumTasks": "8", "NumCPUs": "8", "tres_per_node": "gres:gpu:2",
      "tres_alloc": "cpu=8,mem=4000M,node=1,billing=8"},
     (SCATTER, 1), {"ncpus": 8, "mem": "memory::4000m", "ngpus": 2}),
    ("-N2 --gpus=4: the job's GPUs over its nodes",
     {"NumNodes": "2", "NumTasks": "2", "NumCPUs": "2", "tres_per_job": "gres:gpu:4",
      "tres_alloc": "cpu=2,mem=1000M,node=2,billing=2"},
     (SCATTER, 2), {"ncpus": 1, "mem": "memory::500m", "ngpus": 2}),
    ("--gpus=4 -n16: four tasks to a GPU",
     {"NumNodes": "4", "NumTasks": "16", "NumCPUs": "16", "tres_per_job": "gres:gpu:4",
      "tres_alloc": "cpu=16,mem=8000M,node=1,billing=16"},
     (PACK, 4), {"ncpus": 4, "mem": "memory::2000m", "ngpus": 1}),
    ("another generic resource has a resource of its own",
     {"tres_per_node": "gres:fpga:2"}, (SCATTER, 1), {"ncpus": 1, "mem": "memory::500m", "gres_fpga": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "fields", "how", "amounts"), CASES, ids=[case[0] for case in CASES])
def test_what_one_slot_takes(said: str, fields: dict[str, str], how: tuple[str, int], amounts: dict[str, Any]) -> None:
    (job,) = read(line(**fields)).jobs
    assert job.problem is None
    shape = job.shape
    wanted = dict(shape.constraints[0])
    assert wanted.pop("nodearray") == ("htc",)
    assert wanted == amounts, said
    assert shape.node_count == (how[1] if how[1] > 1 else 0), said
    assert shape.packing_strategy is (PackingStrategy.PACK if how[0] == PACK else None), said


def test_slurms_guess_of_nodes_is_not_believed_where_there_are_none_yet() -> None:
    # In a partition without nodes Slurm guesses one node a task: -n4 --mem=3G printed NumNodes 4.
    fields = {"NumNodes": "4", "NumCPUs": "4", "NumTasks": "4", "MinMemory": "3072M",
              "tres_alloc": "cpu=4,mem=3G,node=1,billing=4", "Reason": "PartitionConfig"}  # fmt: skip
    (fresh,) = read(line(Partition="fresh", **fields)).jobs
    assert (fresh.runnable, fresh.shape.packing_strategy) == (True, PackingStrategy.PACK)
    assert fresh.shape.constraints[0]["mem"] == "memory::768m"


@pytest.mark.parametrize(("managed", "exclusive"), [(True, True), (False, False)])
def test_all_memory_means_alone_only_where_slurm_shares_memory_out(managed: bool, exclusive: bool) -> None:
    # CR_Core prints MinMemory 0 and the node's whole memory for every job that says nothing of memory.
    text = line(MinMemory="0", tres_alloc="cpu=1,mem=8000M,node=1,billing=1")
    (job,) = read(text, memory_is_managed=managed).jobs
    assert ({"exclusive": True} in [dict(constraint) for constraint in job.shape.constraints]) is exclusive
    assert "mem" not in job.shape.constraints[0]


@pytest.mark.parametrize(
    ("sharing", "exclusive", "notes"), [("NO", True, 0), ("USER", True, 1), ("YES", False, 0), ("OK", False, 0)]
)
def test_exclusive_is_oversubscribe_no(sharing: str, exclusive: bool, notes: int) -> None:
    queue = read(line(OverSubscribe=sharing))
    assert any("exclusive" in constraint for constraint in queue.jobs[0].shape.constraints) is exclusive
    assert len(queue.problems) == notes


def test_a_gang_that_names_all_its_machines_is_held_to_them() -> None:
    two = {"NumNodes": "2", "NumCPUs": "2", "NumTasks": "2", "tres_alloc": "cpu=2,mem=1000M,node=2,billing=2"}
    named = read(line(ReqNodes="a-[1-2]", **two))
    assert named.jobs[0].shape.constraints[1] == {"node.hostname": ("a-1", "a-2")}
    some = read(line(ReqNodes="a-1", **two))
    assert len(some.jobs[0].shape.constraints) == 1
    assert "-w" in some.problems[0].message


def test_one_switch_matters_only_for_several_nodes() -> None:
    assert not read(line(ReqSwitch="1")).jobs[0].shape.colocated
    two = {"NumNodes": "2", "NumTasks": "2", "NumCPUs": "2", "tres_alloc": "cpu=2,mem=1000M,node=2,billing=2"}
    assert read(line(ReqSwitch="1@10:00", **two)).jobs[0].shape.colocated
    assert not read(line(ReqSwitch="2", **two)).jobs[0].shape.colocated


def test_words_of_the_site_stand_for_its_own_constraints() -> None:
    (job,) = read(
        line(Partition="htc,long", Feature="ib", tres_per_node="gres:gpu:a100:1"),
        partitions={"htc": ("htc", "htcspot"), "long": ("htc",)},
        features={"ib": {"node.infiniband": True}},
        gpu_types={"a100": {"node.vm_size": "Standard_NC*A100*"}},
        memory_resource="memmb",
        cpu_resource="slots",
        gpu_resource="cards",
    ).jobs
    assert [dict(constraint) for constraint in job.shape.constraints] == [
        {"nodearray": ("htc", "htcspot"), "slots": 1, "memmb": "memory::500m", "cards": 1},
        {"node.infiniband": True},
        {"node.vm_size": "Standard_NC*A100*"},
    ]
