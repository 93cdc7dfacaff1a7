"""Why a PBS job waits, and whether a machine would help (user ask T06).

The scheduler writes its reason into the job's comment: `Not Running: …`, or `Can Never Run: …`, which is also said of
a job that only needs machines that are not made yet.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from autoscale_aks.schedulers.verdict import WORTH_A_MACHINE, Verdict, unknown_reason

OUR_MARK: Final = " | azaks: "
"""What stands in a job's comment between the scheduler's words and ours. The scheduler may replace both at any time."""

_PREFIX: Final = re.compile(r"\s*(?:Not Running|Can Never Run)\s*:\s*", re.IGNORECASE)
_WORTH: Final = re.compile(
    r"""not\ enough\ (free\ |total\ |of\ the\ right\ type)|no\ available\ resources\ on\ nodes|nodes\ not\ available
    |insufficient\ amount\ of\ resource|too\ few\ free\ resources|is\ too\ small|largest\ placement\ set
    |^node\ |load\ is\ above|requesting\ an\ exclusive\ node|specified\ \S+\ does\ not\ exist|preempt\ enough
    |(interfere|conflict)\ with|strict\ (sorted\ )?order|internal\ scheduling\ error|^pbs\ error""",
    re.IGNORECASE | re.VERBOSE,
)
"""Nodes are missing, taken, closed, too small or reserved for others; or nothing but bad luck is in the way."""

_NOT_WORTH: Final = (
    (re.compile(r"insufficient amount of (server|queue) resource", re.IGNORECASE), "a stock of the server is used up"),
    (re.compile(r"limit has been reached|has reached .*limit|would exceed|limit reached", re.IGNORECASE),
     "a limit on running jobs or resources is reached"),
    (re.compile(r"queue not started", re.IGNORECASE), "its queue is not started"),
    (re.compile(r"queue not an? execution", re.IGNORECASE), "its queue starts no jobs"),
    (re.compile(r"dedicated time|prime[- ]?time|cross into", re.IGNORECASE), "it may not run at this time"),
    (re.compile(r"zero shares", re.IGNORECASE), "its fair share is zero"),
    (re.compile(r"under (the )?(job_sort_formula[ _])?threshold", re.IGNORECASE), "its priority is too low to run"),
    (re.compile(r"not in queued state", re.IGNORECASE), "it is not queued"),
    (re.compile(r"cannot provision|^provision", re.IGNORECASE), "a node cannot be provisioned for it"),
    (re.compile(r"invalid job", re.IGNORECASE), "the scheduler cannot make sense of it"),
    (re.compile(r"held|hold", re.IGNORECASE), "it is held"),
    (re.compile(r"licenses? (is |are )?(un)?available|floating license", re.IGNORECASE), "PBS lacks a licence"),
    (re.compile(r"depend", re.IGNORECASE), "it waits for other jobs"),
)  # fmt: skip
_NO_REASON: Final = re.compile(r"job (run|array began|was|is re)|^$|\bon \(", re.IGNORECASE)
"""What is no reason to wait: of a job's last run, and nothing at all."""

_HOLDS: Final = {
    "u": "held by its user", "o": "held by an operator", "s": "held by the system", "p": "held: its password is wrong",
}  # fmt: skip


@lru_cache(maxsize=8192)
def judge_comment(comment: str, *, unknown_is_runnable: bool) -> Verdict:
    """What a queued job's comment means; without one the scheduler has not looked at it yet."""
    prefix = _PREFIX.match(comment)
    words = comment[prefix.end() :].strip() if prefix else comment.strip()
    if (prefix is None and _NO_REASON.search(words)) or _WORTH.search(words):
        return WORTH_A_MACHINE
    for pattern, why in _NOT_WORTH:
        if pattern.search(words):
            return Verdict(runnable=False, is_known=True, why=f"{why}: {words[:120]}")
    return unknown_reason(words, is_runnable=unknown_is_runnable)


def why_held(holds: str, depend: str) -> str:
    """A job in state H. One held by the system with a dependency waits for other jobs."""
    if depend and "s" in holds:
        return "Dependency: it waits for other jobs"
    named = [_HOLDS[letter] for letter in holds if letter in _HOLDS]
    return "Hold: " + (", ".join(named) or "it is held")
