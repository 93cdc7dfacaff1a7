"""What the verbs are for, and by what other names users know them. Imports nothing.

`--help` and completion are answered from here, so that they need none of the verbs' modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

THEMES: Final[dict[str, dict[str, str]]] = {
    "Run": {
        "autoscale": "Run one cycle: observe, plan, apply, record.",
        "run": "Run a cycle an interval until SIGTERM or SIGINT.",
    },
    "Look": {
        "demand": "Show what would start, what would stop, and what waits.",
        "explain": "Explain one job: why it waits, and every bucket's verdict.",
        "jobs": "List waiting jobs with what they ask for and why they wait.",
        "nodes": "List nodes with state, room, work and age.",
        "buckets": "List buckets: size, price, limits, resources.",
        "limits": "List what stands over buckets; what to ask Azure for.",
        "sizes": "Show what is known of VM sizes, and whose word it is.",
        "plan": "Plan scenario files, without network or clock.",
        "history": "Tell a machine's or a job's life from the ledger.",
    },
    "Act": {
        "create": "Make machines of a node array, under every limit.",
        "drain": "Keep new work off machines, until told otherwise.",
        "delete": "Let machines go, as the loop does.",
        "protect": "Keep machines from every delete, for a while.",
        "unprotect": "Take protections back.",
        "join": "Make machines known to the scheduler again.",
        "remove": "Let the scheduler forget nodes; machines stay.",
        "retry-failed": "Forget back-offs and circuits, and try again.",
        "pool": "Create, show, list and delete agent pools directly.",
        "machines": "List, create and delete machines directly.",
    },
    "Check and set up": {
        "doctor": "Check everything a cycle depends on, with the fix.",
        "validate": "Check the configuration, and its scheduler on request.",
        "validate-constraint": "Show how a constraint is read, and what matches it.",
        "config": "Show, start, describe or import a configuration.",
        "columns": "Show the columns of the verbs that list something.",
        "completion": "Print a shell's completion script.",
        "version": "Show the version.",
    },
    "Try out": {
        "demo": "Run a captured queue against the emulator, end to end.",
        "simulate": "Replay a workload in virtual time.",
        "record": "Write all that a decision is made from to a file.",
        "replay": "Make the decision of a recorded file again.",
        "emulate": "Serve an emulated AKS cluster until interrupted.",
        "shell": "Open a Python prompt with what a cycle would see.",
    },
}
"""Theme → verb → one line. Every verb is in one (a test holds it)."""

ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "analyze": ("explain",),
    "connect": ("doctor",),
    "create_nodes": ("create",),
    "default_output_columns": ("columns",),
    "delete_nodes": ("delete",),
    "drain_nodes": ("drain",),
    "initconfig": ("config", "init"),
    "join_nodes": ("join",),
    "refresh_autocomplete": ("completion",),
    "remove_nodes": ("remove",),
    "retry_failed_nodes": ("retry-failed",),
    "validate_constraint": ("validate-constraint",),
}
"""Names that users of cyclecloud-scalelib (`azpbs`, `azge`, `azslurm`) know → ours. One whose verb is not there is not
offered."""

OPTION_WORDS: Final[dict[str, str]] = {
    "constraint-expr": "filter",
    "output-columns": "columns",
    "output-format": "format",
}
"""cyclecloud-scalelib's long options → ours."""

ELSEWHERE: Final[dict[str, str]] = {
    "accounting_info": "the scheduler's own accounting has it (sacct)",
    "cost": "azaks demand shows prices; Azure's cost reports show what was paid",
    "keep_alive": "protection is asked for with azaks protect and azaks unprotect",
    "partitions": "slurm.conf is written by the site; docs/hooks.md says what it needs",
    "resume": "Slurm calls the power hook (docs/hooks.md), or azaks autoscale makes the machines",
    "resume_fail": "azaks autoscale gives failed machines up by itself",
    "return_to_idle": "azaks autoscale reopens what was closed by itself",
    "scale": "azaks autoscale reads its configuration in every cycle; there is nothing to apply",
    "suspend": "Slurm calls the power hook (docs/hooks.md), or azaks autoscale lets idle machines go",
    "topology": "topology.conf is not written by this program",
    "wait_for_resume": "azaks nodes shows who is ready",
}
"""Verbs of azslurm that have no counterpart, and what to do instead."""


def aliases_of(verbs: Container[str]) -> dict[str, tuple[str, ...]]:
    """The aliases whose verbs are there."""
    return {name: target for name, target in ALIASES.items() if target[0] in verbs}
