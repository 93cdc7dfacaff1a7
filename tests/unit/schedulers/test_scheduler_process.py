"""SubprocessRunner against real programs."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pytest

from autoscale_aks.errors import SchedulerError
from autoscale_aks.schedulers.process import SubprocessRunner

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", ""), "SQUEUE_FORMAT": "%i", "SLURM_CONF": "/x", "SLURM_TIME_FORMAT": "relative",
    "LANG": "de_DE.UTF-8", "LC_MESSAGES": "de_DE", "LANGUAGE": "de", "HOME": "/home/x",
}  # fmt: skip


def runner(**changes: Any) -> SubprocessRunner:
    scrub: Any = {"dropped": ("SLURM_", "SQUEUE_"), "kept": frozenset({"SLURM_CONF"})}
    return SubprocessRunner(environment=ENVIRONMENT, **scrub, **changes)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_programs_see_the_scrubbed_environment_and_the_c_locale() -> None:
    code = "import os; print(sorted(k + '=' + v for k, v in os.environ.items() if k != 'PATH'))"
    answer = runner().run(python(code), {"SLURM_BITSTR_LEN": "0"})
    seen = [entry for entry in eval(answer.text) if not entry.startswith("LC_CTYPE")]
    assert seen == ["HOME=/home/x", "LANG=de_DE.UTF-8", "LC_ALL=C", "SLURM_BITSTR_LEN=0", "SLURM_CONF=/x"]


def test_output_is_text_even_when_it_is_not_utf8() -> None:
    assert runner().run(["printf", r"a\tb\377\n"], {}).text == "a\tb�\n"


def test_arguments_are_never_read_by_a_shell() -> None:
    assert runner().run(["echo", "$HOME; ls *", "`id`"], {}).text == "$HOME; ls * `id`\n"


def test_warnings_of_a_program_that_succeeds_are_kept() -> None:
    answer = runner().run(python("import sys; print(1); print('careful', file=sys.stderr)"), {})
    assert answer == ("1\n", ("careful",))


def test_a_failure_tells_the_command_the_code_and_its_first_words() -> None:
    code = "import sys; [print('bad', n, file=sys.stderr) for n in range(9)]; sys.exit(3)"
    with pytest.raises(SchedulerError, match=r"exit code 3: bad 0 \| bad 1 \| bad 2; run it by hand"):
        runner().run(python(code), {})
    with pytest.raises(SchedulerError, match="exit code 1: Node x not found"):
        runner().run(python("print('Node x not found'); raise SystemExit(1)"), {})


def test_a_missing_program_says_where_to_name_it() -> None:
    with pytest.raises(SchedulerError, match=r"no-such-squeue: cannot be started.*full path"):
        runner().run(["no-such-squeue"], {})


def test_a_hanging_program_is_ended_with_all_it_started() -> None:
    began = time.monotonic()
    with pytest.raises(SchedulerError, match=r"no answer after 0\.3 s"):
        runner(timeout_s=0.3).run(["sh", "-c", "sleep 60 & sleep 60"], {})
    assert time.monotonic() - began < 5


def test_a_child_that_keeps_the_pipe_open_does_not_hold_us() -> None:
    began = time.monotonic()
    assert runner().run(["sh", "-c", "echo done; sleep 60 &"], {}).text == "done\n"
    assert time.monotonic() - began < 8


def test_endless_output_is_cut_off() -> None:
    with pytest.raises(SchedulerError, match="more than 100000 bytes"):
        runner(output_limit=100_000).run(["yes"], {})


def test_endless_complaints_fill_no_memory() -> None:
    code = "import sys; sys.stderr.write('x\\n' * 2_000_000); print('ok')"
    answer = runner().run(python(code), {})
    assert answer.text == "ok\n"
    assert len(answer.warnings) <= 32 * 1024 + 1


def test_output_comes_in_pieces_while_the_program_runs_and_a_failure_comes_last() -> None:
    code = "import sys, time; print('x' * 300_000, flush=True); print('bad', file=sys.stderr); sys.exit(3)"
    sizes: list[int] = []
    with pytest.raises(SchedulerError, match="exit code 3: bad"):
        sizes.extend(len(piece) for piece in runner().stream(python(code), {}))
    assert (sum(sizes), len(sizes) > 1) == (300_001, True)


def test_a_character_that_lies_across_two_pieces_is_one_character() -> None:
    code = "import os, time; os.write(1, b'\\xe2\\x82'); time.sleep(.2); os.write(1, b'\\xac')"
    assert "".join(runner().stream(python(code), {})) == "€"


def test_a_reader_that_stops_ends_the_program() -> None:
    pieces = iter(runner().stream(["yes"], {}))
    next(pieces)
    began = time.monotonic()
    pieces.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5
