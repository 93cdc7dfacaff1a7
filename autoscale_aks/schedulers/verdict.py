"""What a scheduler's reason means for demand (user ask T06)."""

from __future__ import annotations

from typing import Final, NamedTuple


class Verdict(NamedTuple):
    """Whether the job is worth a machine, whether we know its reason, and the sentence for people."""

    runnable: bool
    is_known: bool
    why: str


WORTH_A_MACHINE: Final = Verdict(runnable=True, is_known=True, why="")


def unknown_reason(words: str, *, is_runnable: bool) -> Verdict:
    """A reason we do not know, treated as the site wants it (T06a)."""
    why = "" if is_runnable else f"{words[:60]}: a reason this program does not know"
    return Verdict(runnable=is_runnable, is_known=False, why=why)


class Notes:
    """Counts things that could not be said of jobs: each once, with how many jobs and the first of them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, text: str, job: str) -> None:
        """Note it of a job."""
        count, first = self._found.get(text, (0, job))
        self._found[text] = (count + 1, first)

    def lines(self) -> list[str]:
        """One line each."""
        return [
            f"{text} ({count} job{'s' if count > 1 else ''}, first {first})"
            for text, (count, first) in self._found.items()
        ]
