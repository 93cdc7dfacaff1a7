"""`qstat -xml -j IDS` → limits of arrays, and why jobs wait.

The scheduler gives its reasons only with `schedd_job_info true` (`qconf -msconf`). Job by job they say why one queue
or another was not taken; what counts is whether one of them says that no machine would help (user ask T06).
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from frozendict import frozendict

from autoscale_aks.schedulers.verdict import WORTH_A_MACHINE, Verdict, unknown_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARRAY: Final = re.compile(
    r"<JB_job_number>([0-9]{1,12})</JB_job_number>|<JB_ja_task_concurrency>([0-9]{1,12})</JB_ja_task_concurrency>"
)
_LISTS: Final = re.compile(r"<SME_message_list>(.*?)</SME_message_list>", re.DOTALL)
_MESSAGE: Final = re.compile(r"<MES_job_number_list>(.*?)</MES_job_number_list>.*?<MES_message>(.*?)</MES_message>",
                             re.DOTALL)  # fmt: skip
_JOB: Final = re.compile(r"<ULNG_value>([0-9]{1,12})</ULNG_value>")

_QUOTA: Final = re.compile(r'exceeds limit "(?:[^"/]*/){4}([^"/]*)/?"')
"""`user/project/environment/queue/host/`: a quota of one host says nothing of a new one."""

_NOT_WORTH: Final = (
    (re.compile(r"hold state", re.IGNORECASE), "it is held"),
    (re.compile(r"execution time not reached", re.IGNORECASE), "its start time is not reached"),
    (re.compile(r"job dependencies|predecessor", re.IGNORECASE), "it waits for other jobs"),
    (re.compile(r"error state", re.IGNORECASE), "its last start failed; qmod -cj clears it"),
    (re.compile(r"user limitation|maxujobs", re.IGNORECASE), "its user runs as many jobs as allowed"),
    (re.compile(r"advance reservation", re.IGNORECASE), "it waits for its reservation"),
)  # fmt: skip
_WORTH: Final = re.compile(
    r"""only\ offers|offers\ only|dropped\ because\ (it\ is|of\ overload|of\ load)|queues\ dropped|because\ it\ was\ not
    |not\ contained\ in\ its\ hard\ |not\ in\ pe\ list|not\ in\ PE|max_aj_instances|exceeds\ limit|has\ no\ permission
    |cannot\ run\ (in\ queue|at\ host|on\ host|in\ PE|until\ clean\ up)|requested\ are\ not\ available|not\ requested
    |temporarily\ not\ available|calendar|master\ queue|does\ not\ provide|because\ available\ slots""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Details:
    """What is known of single jobs beside the list of all."""

    concurrency: Mapping[str, int] = field(default_factory=frozendict)
    """Array → how many of its tasks may run at once."""
    messages: Mapping[str, tuple[str, ...]] = field(default_factory=frozendict)
    """Job → the scheduler's own words."""


def parse_details(text: str) -> Details:
    """Never raises: what is not there is not known."""
    concurrency: dict[str, int] = {}
    job = ""
    for match in _ARRAY.finditer(text):
        if match[1]:
            job = match[1]
        elif job and int(match[2]):
            concurrency[job] = int(match[2])
    messages: dict[str, list[str]] = {}
    for part in _LISTS.findall(text):
        for jobs, words in _MESSAGE.findall(part):
            for number in _JOB.findall(jobs):
                messages.setdefault(number, []).append(html.unescape(words).strip())
    return Details(frozendict(concurrency), frozendict({job: tuple(found) for job, found in messages.items()}))


@lru_cache(maxsize=8192)
def judge_message(words: str, *, unknown_is_runnable: bool) -> Verdict:
    """What one reason of the scheduler means."""
    quota = _QUOTA.search(words)
    if quota is not None and not quota[1]:
        return Verdict(runnable=False, is_known=True, why=f"a resource quota is used up: {words[:120]}")
    for pattern, why in _NOT_WORTH:
        if pattern.search(words):
            return Verdict(runnable=False, is_known=True, why=f"{why}: {words[:120]}")
    if _WORTH.search(words):
        return WORTH_A_MACHINE
    return unknown_reason(words, is_runnable=unknown_is_runnable)
