"""All chunks of a cycle at once: look, write, prove (batching.md B4, B6, B9, B10).

look    one LIST a pool; names that exist are not sent. Where the pool was listed a moment ago there is nothing to ask
write   every chunk is a task of one pool of workers; where the batch is not honoured every machine is
prove   one LIST a pool; what is missing goes out alone, and one more LIST settles what is still unknown

At the deadline what has not left is rejected (`DeadlineExceeded`, never sent), and what is under way or not proven yet
is unknown.
"""

from __future__ import annotations

import logging
import math
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from autoscale_aks.cloud.aks.batch import kind_of
from autoscale_aks.cloud.aks.faults import mark_of
from autoscale_aks.cloud.aks.memory import PoolMemory
from autoscale_aks.cloud.aks.proof import (
    check_chunk,
    honours_batch,
    judge_again,
    judge_existing,
    judge_written,
    refuse,
)
from autoscale_aks.errors import CloudError
from autoscale_aks.model.launch import ChunkOutcome, FaultKind, LaunchOutcome, LaunchState, MachineListing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from autoscale_aks.cloud.aks.batch import MachineWriter, Written
    from autoscale_aks.model.launch import LaunchRequest, Machine, MachineSpec

    OnChunk = Callable[[ChunkOutcome], None]

log = logging.getLogger(__name__)

_BURST_S: Final = 0.25
"""Answers that come this close together are told of together: whoever is told writes to a disk, which would take the
processor from the requests under way."""


@dataclass(slots=True)
class _Draft:
    """A chunk on its way to being a ChunkOutcome."""

    request: LaunchRequest
    started_at: float
    ended_at: float
    outcomes: dict[str, LaunchOutcome] = field(default_factory=dict)
    attempts: int = 0
    puts: int = 0
    batches: list[tuple[str, ...]] = field(default_factory=list)
    tasks: int = 0
    """Tasks of it that are not done."""

    @property
    def names(self) -> list[str]:
        return [machine.name for machine in self.request.machines]

    @property
    def has_trouble(self) -> bool:
        return any(outcome.state is not LaunchState.ACCEPTED for outcome in self.outcomes.values())

    def merge(self, written: Written) -> None:
        self.outcomes.update(written.outcomes)
        self.started_at = min(self.started_at, written.started_at) if self.puts else written.started_at
        self.ended_at = max(self.ended_at, written.ended_at)
        self.attempts += written.attempts
        self.puts += written.puts
        self.batches += written.batches

    def finish(self) -> ChunkOutcome:
        return ChunkOutcome(
            chunk_id=self.request.chunk_id,
            pool=self.request.template.pool,
            outcomes=tuple(_marked(self.outcomes[machine.name], self.request) for machine in self.request.machines),
            started_at=self.started_at,
            ended_at=self.ended_at,
            attempts=self.attempts,
            puts=self.puts,
        )


@dataclass(frozen=True, slots=True)
class _Task:
    draft: _Draft
    machines: tuple[MachineSpec, ...]
    batch: bool


_Sent: TypeAlias = tuple[_Draft, "MachineSpec"]


class Launcher:
    """Creates machines. `batch_honoured` is what is known of this cluster: None until the first proof."""

    def __init__(
        self,
        writer: MachineWriter,
        list_machines: Callable[[str, float], MachineListing],
        now: Callable[[], float],
        *,
        memory: PoolMemory | None = None,
        batch_honoured: bool | None = None,
    ) -> None:
        self._writer = writer
        self._list_machines = list_machines
        self._now = now
        self._memory = memory or PoolMemory()
        self._executor: ThreadPoolExecutor | None = None
        self._workers = 0
        self.batch_honoured = batch_honoured

    def launch(
        self,
        requests: Sequence[LaunchRequest],
        on_chunk: OnChunk | None,
        *,
        workers: int,
        batch: bool = True,
        deadline: float = math.inf,
    ) -> tuple[ChunkOutcome, ...]:
        """Outcomes in the order of `requests`.

        `on_chunk` is called when a chunk's PUTs are answered, and again for a chunk that the proof changed.
        """
        tell = on_chunk or _ignore
        executor = self._threads(workers)
        try:
            drafts, tasks = self._look(executor, requests, batch=batch, deadline=deadline)
            pools = {task.draft.request.template.pool for task in tasks}
            self._memory.forget_lists(pools)
            told = {}
            for draft in self._run(executor, tasks, deadline):
                told[id(draft)] = draft.finish()
                tell(told[id(draft)])
            self._prove(executor, [(task.draft, machine) for task in tasks for machine in task.machines], deadline)
            self._memory.forget_usable({draft.request.template.pool for draft in drafts if draft.has_trouble})
            for draft in drafts:
                outcome = draft.finish()
                if told.get(id(draft)) != outcome:
                    tell(outcome)
            return tuple(draft.finish() for draft in drafts)
        except BaseException:
            self.close()  # what has not left stays; what is under way is waited for
            raise

    def close(self) -> None:
        """Let the workers go, after what they have under way."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor, self._workers = None, 0

    def _threads(self, workers: int) -> ThreadPoolExecutor:
        """The workers, kept from launch to launch: to start a hundred takes as long as to send their requests."""
        if self._executor is None or self._workers != workers:
            self.close()
            self._executor, self._workers = ThreadPoolExecutor(workers, thread_name_prefix="aks"), workers
        return self._executor

    def _look(
        self, executor: Executor, requests: Sequence[LaunchRequest], *, batch: bool, deadline: float
    ) -> tuple[list[_Draft], list[_Task]]:
        now = self._now()
        drafts = [_Draft(request, now, now) for request in requests]
        sound = []
        for draft in drafts:
            refusal = check_chunk(draft.request)
            if refusal is None:
                sound.append(draft)
            else:
                _refuse_all(draft, refusal)
        listings = self._look_up(executor, sound, deadline)
        taken: set[tuple[str, str]] = set()
        tasks: list[_Task] = []
        for draft in sound:
            seen = listings[draft.request.template.pool]
            if isinstance(seen, LaunchOutcome):
                _refuse_all(draft, seen)
                continue
            tasks += self._tasks(draft, _choose(draft, seen, taken), batch=batch)
        return drafts, tasks

    def _look_up(
        self, executor: Executor, drafts: Sequence[_Draft], deadline: float
    ) -> dict[str, MachineListing | LaunchOutcome]:
        """Each pool's list, from memory where it is fresh and shows none of the names."""
        names: dict[str, list[str]] = {}
        for draft in drafts:
            names.setdefault(draft.request.template.pool, []).extend(draft.names)
        known: dict[str, MachineListing | LaunchOutcome] = {}
        for pool, wanted in names.items():
            listing = self._memory.list_without(pool, wanted, self._now())
            if listing is not None:
                known[pool] = listing
        unknown = [draft for draft in drafts if draft.request.template.pool not in known]
        seen = self._list_all(executor, unknown, deadline)
        return known | {pool: _whole(listing) for pool, listing in seen.items()}

    def _tasks(self, draft: _Draft, machines: tuple[MachineSpec, ...], *, batch: bool) -> list[_Task]:
        if not machines:
            return []
        if batch and self.batch_honoured is not False:
            return [_Task(draft, machines, batch=True)]
        return [_Task(draft, (machine,), batch=False) for machine in machines]

    def _run(self, executor: Executor, tasks: Sequence[_Task], deadline: float) -> Iterator[_Draft]:
        """Carry out tasks; each draft as its last task is done."""
        futures: dict[Future[Written], _Task] = {}
        order: dict[Future[Written], int] = {}
        for task in tasks:
            task.draft.tasks += 1
            future = executor.submit(
                self._writer.write, task.draft.request, task.machines, batch=task.batch, deadline=deadline
            )
            futures[future] = task
            order[future] = len(order)
        pending = set(futures)
        while pending:
            wait(pending, return_when=FIRST_COMPLETED)
            done, pending = wait(pending, timeout=_BURST_S)
            for future in sorted(done, key=order.__getitem__):
                draft = futures[future].draft
                draft.merge(future.result())
                draft.tasks -= 1
                if not draft.tasks:
                    yield draft

    def _prove(self, executor: Executor, sent: Sequence[_Sent], deadline: float) -> None:
        if not sent:
            return
        missing, honoured = self._judge(executor, sent, deadline)
        if honoured:
            self.batch_honoured = True
        before = [draft.outcomes[machine.name] for draft, machine in missing]
        again = [_Task(draft, (machine,), batch=False) for draft, machine in missing]
        for _ in self._run(executor, again, deadline):
            pass
        self._memory.forget_lists({draft.request.template.pool for draft, _ in missing})
        after = [draft.outcomes[machine.name] for draft, machine in missing]
        if honoured is False and any(outcome.state is LaunchState.ACCEPTED for outcome in after):
            log.warning("the batch header is not honoured on this cluster; machines go out one by one from now on")
            self.batch_honoured = False
        for (draft, machine), first, second in zip(missing, before, after, strict=True):
            draft.outcomes[machine.name] = judge_again(first, second)
        unsure = [
            (draft, machine) for draft, machine in missing if draft.outcomes[machine.name].state is LaunchState.UNKNOWN
        ]
        if unsure:
            self._judge(executor, unsure, deadline)

    def _judge(self, executor: Executor, sent: Sequence[_Sent], deadline: float) -> tuple[list[_Sent], bool | None]:
        """Hold machines against a fresh list: those to be sent again, and whether batches were honoured."""
        missing: list[_Sent] = []
        evidence: set[bool | None] = set()
        for pool, seen in self._list_all(executor, [draft for draft, _ in sent], deadline).items():
            ours = [(draft, machine) for draft, machine in sent if draft.request.template.pool == pool]
            listing = (
                seen if isinstance(seen, MachineListing) else MachineListing(pool=pool, machines=(), complete=False)
            )
            listed = {machine.name: machine for machine in listing.machines}
            batches = {names for draft, _ in ours for names in draft.batches}
            evidence.add(honours_batch(sorted(batches), listed))
            missing += [item for item in ours if _is_missing(item, listed, complete=listing.complete)]
        return missing, True if True in evidence else False if False in evidence else None

    def _list_all(
        self, executor: Executor, drafts: Iterable[_Draft], deadline: float
    ) -> dict[str, MachineListing | LaunchOutcome]:
        """Each pool's list, or the refusal that its machines get because there is none."""
        pools = sorted({draft.request.template.pool for draft in drafts})
        return dict(zip(pools, executor.map(lambda pool: self._list_one(pool, deadline), pools), strict=True))

    def _list_one(self, pool: str, deadline: float) -> MachineListing | LaunchOutcome:
        try:
            return self._list_machines(pool, deadline)
        except CloudError as error:
            return refuse("", *kind_of(error), str(error))


def _marked(outcome: LaunchOutcome, request: LaunchRequest) -> LaunchOutcome:
    """A refusal with what its words make unavailable (§5.3)."""
    if outcome.state is not LaunchState.REJECTED:
        return outcome
    spot = request.template.spot
    return replace(outcome, mark=mark_of(outcome.kind, outcome.code, outcome.message, spot=spot))


def _ignore(_: ChunkOutcome) -> None:
    """Nobody listens."""


def _whole(listing: MachineListing | LaunchOutcome) -> MachineListing | LaunchOutcome:
    """Nothing is sent on a list that may lack names: a batch fails on them, a single PUT would change them."""
    if isinstance(listing, LaunchOutcome) or listing.complete:
        return listing
    return refuse("", FaultKind.TRANSIENT, "ListIncomplete", listing.detail)


def _refuse_all(draft: _Draft, refusal: LaunchOutcome) -> None:
    for machine in draft.request.machines:
        draft.outcomes[machine.name] = replace(refusal, name=machine.name)


def _choose(draft: _Draft, listing: MachineListing, taken: set[tuple[str, str]]) -> tuple[MachineSpec, ...]:
    """The machines of a chunk that are to be sent; the others get their outcome now."""
    template = draft.request.template
    listed = {machine.name: machine for machine in listing.machines}
    chosen = []
    for machine in draft.request.machines:
        key = (template.pool, machine.name)
        if key in taken:
            message = "another chunk of this call has the name"
            draft.outcomes[machine.name] = refuse(machine.name, FaultKind.CONFLICT, "DuplicateName", message)
        elif machine.name in listed:
            draft.outcomes[machine.name] = judge_existing(listed[machine.name], template)
        else:
            chosen.append(machine)
        taken.add(key)
    return tuple(chosen)


def _is_missing(sent: _Sent, listed: dict[str, Machine], *, complete: bool) -> bool:
    """Whether a machine has to be sent again; otherwise its outcome is what the list makes of it."""
    draft, machine = sent
    outcome = draft.outcomes[machine.name]
    verdict = judge_written(outcome, listed.get(machine.name), draft.request.template)
    if verdict is None and complete:
        return True
    draft.outcomes[machine.name] = verdict or _unproven(outcome)
    return False


def _unproven(outcome: LaunchOutcome) -> LaunchOutcome:
    if outcome.state is LaunchState.UNKNOWN:
        return outcome
    message = "the request was accepted, the list that should prove it could not be read"
    return replace(outcome, state=LaunchState.UNKNOWN, kind=FaultKind.TRANSIENT, code="NoProof", message=message)
