"""sbatch's options one by one: what our driver is to make of each, on how many machines Slurm must start it, and why.

Every row was written by hand and is held against a real slurmctld by `test_slurm_options.py`, with nodes that stand in
slurm.conf and with nodes that are made at run time. A want reads `SLOTS × AMOUNTS; MORE`: `6 packed` are slots that may
share nodes, `2 nodes` are as many different ones, `+` joins the parts of a gang.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True)
class Machine:
    """What one machine of a kind has, as slurm.conf says it."""

    cpus: int
    memory_mb: int
    topology: str = ""
    gres: str = ""
    gpus: int = 0


CPU: Final = "cpu"
GPU: Final = "gpu"
THREADS: Final = "threads"
COLOURS: Final = "colours"
KINDS: Final = {
    CPU: Machine(4, 8000),
    GPU: Machine(8, 16000, "Sockets=2 CoresPerSocket=4", "gpu:t4:2,fpga:1", 2),
    THREADS: Machine(8, 16000, "Sockets=2 CoresPerSocket=2 ThreadsPerCore=2"),
    COLOURS: Machine(4, 8000),
}
"""Kinds of machines. Of `colours` half are red and half are blue; those of `cpu` are both."""


@dataclass(frozen=True)
class Row:
    """One call of sbatch, in a partition of its own (`PART`) whose nodes serve no other row."""

    name: str
    options: str
    want: str
    machines: int
    why: str
    kind: str = CPU
    tasks: int = 1
    empty: str = ""
    """The want where the partition has no node yet, if that is another one."""
    static: bool = False
    """Whether it needs nodes of slurm.conf: it names nodes, or Slurm holds it where none fits."""


def _of(kind: str, *rows: Row) -> tuple[Row, ...]:
    return tuple(replace(row, kind=kind) for row in rows)


ROWS: Final = (
    # nodes, tasks, CPUs
    Row("nodes", "-N 3", "3 nodes × ncpus=1 mem=500m", 3, "one task on each of three nodes"),
    Row("nodestasks", "-N 2 -n 8", "2 nodes × ncpus=4 mem=2000m", 2, "four tasks on each of two nodes"),
    Row("noderange", "-N 2-4 -n 2", "2 nodes × ncpus=1 mem=500m", 2, "the least is what it can start with"),
    Row("noderange1", "-N 1-3 -n 3", "3 packed × ncpus=1 mem=500m", 1, "from one node on: one is enough"),
    Row("onenode", "-N 1 -n 4", "4 packed × ncpus=1 mem=500m", 1, "four tasks fit on one node"),
    Row("minnodes", "-N 2-4 -n 4 --use-min-nodes", "2 nodes × ncpus=2 mem=1000m", 2, "the least, as the user says"),
    Row("tasks", "-n 6", "6 packed × ncpus=1 mem=500m", 2, "six tasks on four-core nodes"),
    Row("taskscpus", "-n 3 -c 3", "3 packed × ncpus=3 mem=1500m", 3, "two tasks of three cores do not share four"),
    Row("taskspairs", "-n 7 -c 2", "7 packed × ncpus=2 mem=1000m", 4, "two tasks of two cores share a node"),
    Row("cpus", "-c 3", "1 × ncpus=3 mem=1500m", 1, "one task of three cores"),
    Row("pernode", "-n 6 --ntasks-per-node=2", "3 nodes × ncpus=2 mem=1000m", 3, "two tasks a node make three nodes"),
    Row("pernoden", "-N 2 --ntasks-per-node=3", "2 nodes × ncpus=3 mem=1500m", 2, "three tasks on each of two"),
    Row("pernodemax", "-N 2 -n 3 --ntasks-per-node=3", "2 nodes × ncpus=3 mem=1500m", 2,
        "with -n it is a maximum; Slurm says MinCpus 3 all the same, and so do we"),
    Row("mincpus", "-N 2 --mincpus=3", "2 nodes × ncpus=3 mem=1500m", 2, "three cores on each node, used or not"),
    Row("overcommit", "-n 6 -O", "1 × ncpus=1 mem=500m", 1, "-O: one CPU a node for all tasks"),
    Row("overnodes", "-N 2 -n 12 -O", "2 nodes × ncpus=1 mem=500m", 2, "one CPU on each of two nodes"),
    Row("cyclic", "-n 6 -m cyclic", "6 packed × ncpus=1 mem=500m", 2, "how tasks are dealt out changes no node"),
    Row("spread", "-n 6 --spread-job", "6 packed × ncpus=1 mem=500m", 2, "spread over what there is; two have to be"),
    Row("contiguous", "-N 2 --contiguous", "2 nodes × ncpus=1 mem=500m", 2, "neighbours; new machines are"),
    # memory
    Row("mem", "--mem=5000", "1 × ncpus=1 mem=5000m", 1, "memory of the node"),
    Row("memnodes", "-N 2 --mem=5000", "2 nodes × ncpus=1 mem=5000m", 2, "memory of each node"),
    Row("memtasks", "-n 6 --mem=5000", "2 nodes × ncpus=3 mem=5000m", 2,
        "per node, on the two nodes Slurm expects; where there is none yet all is shared by the tasks",
        empty="6 packed × ncpus=1 mem=873813334b"),
    Row("memarray", "--array=1-3 --mem=5000", "1 × ncpus=1 mem=5000m", 3, "two of 5,000 MB do not share 8,000",
        tasks=3),
    Row("memcpu", "-n 5 --mem-per-cpu=3000", "5 packed × ncpus=1 mem=3000m", 3, "two CPUs of 3,000 MB a node"),
    Row("memcpus", "-N 2 -n 6 --mem-per-cpu=1000", "2 nodes × ncpus=3 mem=3000m", 2, "three CPUs of 1,000 MB each"),
    Row("memall", "--mem=0", '1 × ncpus=1; {"exclusive": true}', 1, "all memory of a node leaves none for others"),
    # sharing
    Row("exclusive", "--array=1-2 --exclusive", '1 × ncpus=1 mem=500m; {"exclusive": true}', 2,
        "each task has a node alone", tasks=2),
    Row("exclusiven", "-n 6 --exclusive", '6 packed × ncpus=1 mem=500m; {"exclusive-task": true}', 2,
        "tasks of the job share its nodes, nobody else does"),
    Row("exclusivenodes", "-N 2 --exclusive", '2 nodes × ncpus=1 mem=500m; {"exclusive": true}', 2, "two nodes alone"),
    Row("exclusiveuser", "--exclusive=user", '1 × ncpus=1 mem=500m; {"exclusive": true}', 1,
        "taken as exclusive, and said so: the language knows no users"),
    Row("oversubscribe", "-s", "1 × ncpus=1 mem=500m", 1, "willing to share a core; a new machine has one free"),
    # features
    Row("featand", "-N 2 -C red&blue", '2 nodes × ncpus=1 mem=500m; {"and": [{"feature_red": true}, '
        '{"feature_blue": true}]}', 2, "both on each node"),
    Row("featcomma", "-C red,blue", '1 × ncpus=1 mem=500m; {"and": [{"feature_red": true}, {"feature_blue": true}]}',
        1, "a comma is &"),
    Row("featparens", "-C (red|gray)&blue", '1 × ncpus=1 mem=500m; {"and": [{"or": [{"feature_red": true}, '
        '{"feature_gray": true}]}, {"feature_blue": true}]}', 1, "brackets group"),
    *_of(
        COLOURS,
        Row("featone", "-C blue", '1 × ncpus=1 mem=500m; {"feature_blue": true}', 1, "only half of the nodes are"),
        Row("feator", "-N 2 -C red|blue", '2 nodes × ncpus=1 mem=500m; {"or": [{"feature_red": true}, '
            '{"feature_blue": true}]}', 2, "either on each node"),
        Row("featsame", "-N 2 -C [red|blue]", '2 nodes × ncpus=1 mem=500m; {"or": [{"feature_red": true}, '
            '{"feature_blue": true}]}', 2, "the same one on both: machines of one bucket are alike"),
        Row("featcount", "-N 3 -C [red*2&blue*1]", '2 nodes × ncpus=1 mem=500m; {"feature_red": true} '
            '+ 1 nodes × ncpus=1 mem=500m; {"feature_blue": true}', 3, "two red ones and a blue one", static=True),
        Row("featmore", "-N 4 -C [red*1&blue*2]", '1 nodes × ncpus=1 mem=500m; {"and": [{"feature_red": true}, '
            '{"exclusive": true}]} + 2 nodes × ncpus=1 mem=500m; {"and": [{"feature_blue": true}, '
            '{"exclusive": true}]} + 1 nodes × ncpus=1 mem=500m; {"and": [{"or": [{"feature_red": true}, '
            '{"feature_blue": true}]}, {"exclusive": true}]}', 4,
            "the fourth node is one of either, and none of the three", static=True),
        Row("featloose", "-N 2 -C red*1", '2 nodes × ncpus=1 mem=500m; {"feature_red": true}', 2,
            "without brackets Slurm takes red ones for all"),
    ),
    # licences, switches, named nodes
    Row("licence", "-L matlab:2", '1 × ncpus=1 mem=500m; {"shared-consumable": {"resources": ["matlab"], "amount": 2, '
        '"decrement_once": true}}', 1, "two of four, once a job"),
    Row("switches", "-N 2 --switches=1", "2 nodes × ncpus=1 mem=500m; colocated", 2, "one placement group"),
    Row("switchwait", "-N 2 --switches=1@10", "2 nodes × ncpus=1 mem=500m; colocated", 2, "how long to insist is lost"),
    Row("named", "-w PART-1", '1 × ncpus=1 mem=500m; {"node.hostname": ["named-1"]}', 0,
        "a machine that is not made yet cannot be it", static=True, tasks=0),
    Row("namedamong", "-N 2 -w PART-1", "2 nodes × ncpus=1 mem=500m", 2,
        "one of two is named: not looked at, and said so", static=True),
    Row("excluding", "-N 2 -x PART-[3-4]", '2 nodes × ncpus=1 mem=500m; {"not": {"node.hostname": ["excluding-3", '
        '"excluding-4"]}}', 2, "on any nodes but these", static=True),
    # what changes nothing for machines
    Row("requeue", "--requeue", "1 × ncpus=1 mem=500m", 1, "may run twice: it runs once at a time"),
    Row("timemin", "--time-min=1 -t 5", "1 × ncpus=1 mem=500m", 1, "time is Slurm's affair"),
    Row("deadline", "-t 10 --deadline=now+1hour", "1 × ncpus=1 mem=500m", 1, "as long as it can be met"),
    Row("nice", "--nice=5", "1 × ncpus=1 mem=500m", 1, "a lower priority is an order, not a size"),
    Row("tmp", "--tmp=100", "1 × ncpus=1 mem=500m", 1, "disk is not looked at, and said so", static=True),
    Row("sockets", "-N 1 -n 4 --sockets-per-node=4", "4 packed × ncpus=1 mem=500m", 1,
        "Slurm takes four CPUs for four sockets"),
    Row("pertasksocket", "-n 8 --ntasks-per-socket=1", "2 nodes × ncpus=4 mem=2000m", 2,
        "what a socket is only Slurm knows: its own count of nodes holds", static=True),
    Row("corespec", "-n 4 --core-spec=1", '2 nodes × ncpus=3 mem=1000m; {"exclusive": true}', 2,
        "a core of each node is kept free, so four tasks need two", static=True),
    Row("threadspec", "-n 3 --thread-spec=1", '1 × ncpus=4 mem=1500m; {"exclusive": true}', 1,
        "three and the one that is kept free fill a node", static=True),
    # heterogeneous jobs: Slurm gives each component nodes of its own
    Row("hetsmall", "-n 1 : -n 2", '1 × ncpus=1 mem=500m; {"exclusive": true} + 1 × ncpus=2 mem=1000m; '
        '{"exclusive": true}', 2, "three CPUs would fit on one node, but components do not share",
        empty='1 × ncpus=1 mem=500m; {"exclusive": true} + 2 packed × ncpus=1 mem=500m; {"exclusive-task": true}',
        tasks=2),
    Row("hetnodes", "-N 2 : -c 4", '2 nodes × ncpus=1 mem=500m; {"exclusive": true} + 1 × ncpus=4 mem=2000m; '
        '{"exclusive": true}', 3, "two small nodes and a whole one", tasks=2),
    Row("hetfive", "-N 2 -n 2 : -n 6", '2 nodes × ncpus=1 mem=500m; {"exclusive": true} + 2 nodes × ncpus=3 mem=1500m; '
        '{"exclusive": true}', 4, "six tasks on the two nodes Slurm expects", tasks=2,
        empty='2 nodes × ncpus=1 mem=500m; {"exclusive": true} + 6 packed × ncpus=1 mem=500m; '
        '{"exclusive-task": true}'),
    # arrays
    Row("array", "--array=0-9%3 -c 4", "1 × ncpus=4 mem=2000m", 3, "three at once, seven wait for them", tasks=3),
    Row("arraystep", "--array=1-9:2 -c 2", "1 × ncpus=2 mem=1000m", 3, "1, 3, 5, 7, 9: two share a node", tasks=5),
    *_of(
        GPU,
        Row("gres", "--gres=gpu:1", "1 × ncpus=1 mem=500m ngpus=1", 1, "one GPU of the node"),
        Row("grestype", "-N 2 --gres=gpu:t4:2", '2 nodes × ncpus=1 mem=500m ngpus=2; {"gpu_type": "t4"}', 2,
            "two GPUs of a type on each node"),
        Row("gresother", "--gres=gpu:1,fpga:1", "1 × ncpus=1 mem=500m gres_fpga=1 ngpus=1", 1, "two kinds at once"),
        Row("gpus", "--gpus=3 -n 3", "3 packed × ncpus=1 mem=500m ngpus=1", 2, "three GPUs, two a node"),
        Row("gpustype", "--gpus=t4:2", '2 packed × ncpus=1 mem=500m ngpus=1; {"gpu_type": "t4"}', 1, "of a type"),
        Row("gpusnodes", "-N 2 -n 2 --gpus=4", "2 nodes × ncpus=1 mem=500m ngpus=2", 2, "four GPUs over two nodes"),
        Row("gpuarray", "--array=1-3 --gpus=1", "1 × ncpus=1 mem=500m ngpus=1", 2, "two tasks a node", tasks=3),
        Row("gpunode", "-N 2 --gpus-per-node=1", "2 nodes × ncpus=1 mem=500m ngpus=1", 2, "one on each node"),
        Row("gpunodetasks", "-n 12 --gpus-per-node=1", "2 nodes × ncpus=6 mem=3000m ngpus=1", 2,
            "a GPU on each of the two nodes Slurm expects", static=True),
        Row("gputask", "-n 3 --gpus-per-task=1", "3 packed × ncpus=1 mem=500m ngpus=1", 2, "one a task"),
        Row("gputasks", "-N 2 -n 4 --gpus-per-task=1", "2 nodes × ncpus=2 mem=1000m ngpus=2", 2, "two tasks a node"),
        Row("gputaskcpus", "-n 3 --gpus-per-task=1 -c 5", "3 packed × ncpus=5 mem=2500m ngpus=1", 3,
            "five cores a task: two do not share eight"),
        Row("gpusocket", "-N 1 --gpus-per-socket=1 --sockets-per-node=2", "1 × ncpus=2 mem=1000m ngpus=2", 1,
            "one GPU on each of two sockets"),
        Row("gpusocket1", "-N 2 --gpus-per-socket=1 --sockets-per-node=1", "2 nodes × ncpus=1 mem=500m ngpus=1", 2,
            "one socket of each node"),
        Row("cpusgpu", "--gpus=4 -n 4 --cpus-per-gpu=4", "4 packed × ncpus=4 mem=2000m ngpus=1", 2, "four cores a GPU"),
        Row("cpusgpu5", "--gpus=4 -n 4 --cpus-per-gpu=5", "4 packed × ncpus=5 mem=2500m ngpus=1", 4,
            "five cores a GPU: one GPU a node"),
        Row("cpusgpun", "-N 1 --gpus-per-node=2 --cpus-per-gpu=2", "1 × ncpus=4 mem=2000m ngpus=2", 1, "two by two"),
        Row("memgpu", "--gpus=3 -n 3 --mem-per-gpu=9000", "3 packed × ncpus=1 mem=9000m ngpus=1", 3,
            "9,000 MB a GPU: one GPU a node"),
        Row("memgpun", "-N 2 --gpus-per-node=1 --mem-per-gpu=3000", "2 nodes × ncpus=1 mem=3000m ngpus=1", 2,
            "3,000 MB on each node"),
        Row("tasksgpu", "--gpus=3 --ntasks-per-gpu=2", "3 packed × ncpus=2 mem=1000m ngpus=1", 2, "two tasks a GPU"),
    ),
    *_of(
        THREADS,
        Row("hwarray", "--array=1-5", "1 × ncpus=2 mem=1000m", 2, "each task takes a whole core, four to a node",
            tasks=5),
        Row("hwtasks", "-n 9", "5 packed × ncpus=2 mem=1000m", 2, "nine tasks are five cores, four to a node"),
        Row("hwnodes", "-N 2 -n 2 -c 3", "2 nodes × ncpus=4 mem=2000m", 2, "three CPUs are two cores"),
        Row("hwthree", "-n 3 -c 3", "3 packed × ncpus=3 mem=1500m", 2, "tasks of one job share a core"),
        Row("hwmem", "-n 5 --mem-per-cpu=3000", "3 packed × ncpus=2 mem=6000m", 2,
            "memory is counted on whole cores: two cores of 6,000 MB a node"),
        Row("hwmemarray", "--array=1-2 --mem-per-cpu=6000", "1 × ncpus=2 mem=12000m", 2,
            "one CPU asked for, two paid with memory", tasks=2),
        Row("hwcore", "-n 8 --ntasks-per-core=1", "8 packed × ncpus=2 mem=1000m", 2, "a core for each task"),
        Row("hwhint", "-n 8 --hint=nomultithread", "8 packed × ncpus=2 mem=500m", 2,
            "one thread of each core; memory for that one"),
        Row("hwcompute", "-n 8 --hint=compute_bound", "8 packed × ncpus=2 mem=500m", 2, "one thread of each core, too"),
        Row("hwthreads", "-n 2 -c 4 --threads-per-core=1", "2 packed × ncpus=8 mem=2000m", 2,
            "four cores for four CPUs"),
        Row("hwgeometry", "-n 8 -B 2:2:1", "8 packed × ncpus=2 mem=500m", 2, "two sockets, two cores, one thread"),
        Row("hwmulti", "-n 8 --hint=multithread", "4 packed × ncpus=2 mem=1000m", 1, "both threads of each core"),
        Row("hwspec", "-n 7 --core-spec=1", '2 nodes × ncpus=6 mem=2000m; {"exclusive": true}', 2,
            "three of four cores are left", static=True),
    ),
)  # fmt: skip
