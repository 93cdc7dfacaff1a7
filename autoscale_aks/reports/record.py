"""One decision as a file: everything it was made from, redacted, so that it can be made again elsewhere (T26a).

What is left out or renamed is nothing that a plan depends on: users become `user1`, `user2`, …; messages lose ids of
subscriptions and requests; machines lose their addresses and cloud ids, unless a constraint or a default resource
speaks of these, which the file then says.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from frozendict import frozendict

from autoscale_aks import __version__
from autoscale_aks.errors import Problem, ScenarioError
from autoscale_aks.model.policy import Policy
from autoscale_aks.model.snapshot import Snapshot
from autoscale_aks.reports.answer import render_answer
from autoscale_aks.reports.sentences import render_time
from autoscale_aks.reports.values import Decoder, Encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.model.job import Job
    from autoscale_aks.model.node import Node
    from autoscale_aks.model.plan import Plan
    from autoscale_aks.model.snapshot import Source

FORMAT: Final = "azaks-record"
VERSION: Final = 1
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SPEAK_OF_MACHINES: Final = ("node.private_ip", "node.instance_id", "node.hostname_or_uuid", "ccnodeid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one decision was made from."""

    snapshot: Snapshot
    policy: Policy
    headroom: tuple[Job, ...] = ()
    """Room that is kept free, as jobs."""
    agreed: frozenset[str] = frozenset()
    """Machines that the cycle before wanted to release, for the brake on mass deletes."""
    notices: tuple[str, ...] = ()
    plan_digest: str = ""
    """What the decision was; empty in a record made by hand."""
    boot_s: Mapping[tuple[str, str], float] = frozendict()
    """How long machines took to be ready lately, in seconds, by node array and VM size; the report says it."""
    references: tuple[Source, ...] = ()
    """What sizes, prices and quota were read from, and how old it was; the report says it."""


def redacted(record: Record, *, anonymous: bool = False) -> Record:
    """The record without what a plan does not depend on; `anonymous` renames jobs and queues too."""
    snapshot = record.snapshot
    users = _renamer("user", (job.user for job in snapshot.jobs))
    jobs = _renamer("job", (job.name for job in snapshot.jobs)) if anonymous else frozendict()
    queues = _renamer("queue", (job.queue for job in snapshot.jobs)) if anonymous else frozendict()
    keeps = speaks_of_machines(snapshot)
    return replace(
        record,
        notices=tuple(map(_without_ids, record.notices)),
        references=tuple(replace(source, detail=_without_ids(source.detail)) for source in record.references),
        snapshot=replace(
            snapshot,
            sources=tuple(replace(source, detail=_without_ids(source.detail)) for source in snapshot.sources),
            blocked=replace(snapshot.blocked, auth=snapshot.blocked.auth and _without_ids(snapshot.blocked.auth)),
            jobs=tuple(
                replace(
                    job,
                    user=users.get(job.user, job.user),
                    name=jobs.get(job.name, job.name),
                    queue=queues.get(job.queue, job.queue),
                )
                for job in snapshot.jobs
            ),
            nodes=tuple(_bare(node, jobs, keeps=keeps) for node in snapshot.nodes),
            unmanaged_nodes=tuple(_bare(node, jobs, keeps=keeps) for node in snapshot.unmanaged_nodes),
        ),
    )


def speaks_of_machines(snapshot: Snapshot) -> bool:
    """Whether a constraint or a default resource depends on a machine's address or cloud id."""
    shapes = {id(job.shape): job.shape for job in snapshot.jobs}
    told = [repr(shape.constraints) + repr(shape.chunks) for shape in shapes.values()]
    text = "\n".join([*told, repr(snapshot.default_resources)])
    return any(word in text for word in _SPEAK_OF_MACHINES)


def _without_ids(text: str) -> str:
    """The text without ids of subscriptions, identities and requests."""
    return _ID.sub("[id]", text)


def _renamer(word: str, names: Iterable[str]) -> Mapping[str, str]:
    """`user1`, `user2`, … in the order of their appearance; no name stays no name."""
    return frozendict({name: f"{word}{number}" for number, name in enumerate(dict.fromkeys(filter(None, names)), 1)})


def _bare(node: Node, jobs: Mapping[str, str], *, keeps: bool) -> Node:
    ids = tuple(jobs.get(job, "job") for job in node.job_ids) if jobs else node.job_ids
    if keeps:
        return replace(node, job_ids=ids)
    return replace(node, job_ids=ids, private_ip=None, instance_id=None)


def render_record(record: Record) -> dict[str, Any]:
    """The record as JSON. Raises TypeError for values that no snapshot holds."""
    encoder = Encoder()
    parts = {
        "snapshot": encoder.encode(record.snapshot),
        "policy": encoder.encode(record.policy),
        "headroom": encoder.encode(record.headroom),
        "agreed": sorted(record.agreed),
        "notices": list(record.notices),
        "boot_times": [
            {"nodearray": array, "vm_size": size, "seconds": seconds}
            for (array, size), seconds in sorted(record.boot_s.items())
        ],
        "references": encoder.encode(record.references),
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "program": __version__,
        "taken_at": render_time(record.snapshot.now) or None,
        "machines_known_by_address": speaks_of_machines(record.snapshot),
        **parts,
        "shapes": encoder.shapes,
        "plan_digest": record.plan_digest,
    }


def decode_record(raw: Any, path: str) -> Record:
    """The record of a document. Raises ScenarioError with the path and the next step."""
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise _refused(path, "is no recorded decision; `azaks record FILE` makes one (a scenario is for azaks plan)")
    if raw.get("version") != VERSION:
        found = raw.get("version")
        raise _refused(path, f"has version {found} and this program reads {VERSION}; use the program that wrote it")
    try:
        decoder = Decoder(raw["shapes"])
        snapshot: object = decoder.decode(raw["snapshot"])
        policy: object = decoder.decode(raw["policy"])
        if not isinstance(snapshot, Snapshot) or not isinstance(policy, Policy):
            raise _refused(path, "holds no snapshot and policy")
        return Record(
            snapshot=snapshot,
            policy=policy,
            headroom=decoder.decode(raw["headroom"]),
            agreed=frozenset(raw["agreed"]),
            notices=tuple(raw["notices"]),
            plan_digest=raw["plan_digest"],
            boot_s=frozendict(
                {(one["nodearray"], one["vm_size"]): float(one["seconds"]) for one in raw.get("boot_times", ())}
            ),
            references=tuple(decoder.decode(raw["references"])) if "references" in raw else (),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        said = f"cannot be read ({type(error).__name__}: {error}); it was changed, or a newer program wrote it"
        raise _refused(path, said) from error


def _refused(path: str, message: str) -> ScenarioError:
    return ScenarioError([Problem(path, message)])


def digest_of(decided: Plan) -> str:
    """The same for the same decision: what goes where, what is made in which chunks, what leaves, what waits."""
    found = {
        "answer": render_answer(decided),
        "chunks": [[batch.chunk_id, *batch.names] for wave in decided.waves for batch in wave.batches],
        "releases": [[one.node.name, one.cause.value] for one in (*decided.releases, *decided.withheld)],
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()
