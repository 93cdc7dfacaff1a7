"""What `azaks completion` prints works in the real zsh and fish, typed at as a person would. Bash: test_frame.py."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ZSH, FISH = shutil.which("zsh"), shutil.which("fish")
PATIENCE_S: Final = 60.0
CASES: Final = [
    ("azaks val", {"validate", "validate-constraint"}),
    ("azaks jobs --co", {"--config", "--columns"}),
    ("azaks config s", {"schema", "show"}),
    ("azaks completion ", {"bash", "fish", "zsh"}),
    ("azaks limits --format ", {"table", "json", "csv", "markdown"}),
]
"""What is typed before the tabulator, and the candidates: verbs, options, verbs of a verb, arguments, values."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a program `azaks`, which is also the shell's home."""
    program = tmp_path / "azaks"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom autoscale_aks.cli.main import main\nsys.exit(main())\n")
    program.chmod(0o755)
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    return {
        "PATH": f"{place}{os.pathsep}/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(place), "TERM": "xterm",
        "LANG": "C.UTF-8", "XDG_CONFIG_HOME": str(place / "config"), "XDG_DATA_HOME": str(place / "data"),
    }  # fmt: skip


@pytest.mark.skipif(FISH is None, reason="NO FISH HERE: completion in fish is not tried (Debian's package fish)")
def test_a_real_fish_completes_verbs_options_and_values(place: Path) -> None:
    asked = "\n".join(f"echo ':{number}'; complete -C '{typed}'" for number, (typed, _) in enumerate(CASES))
    folder = place / "config" / "fish" / "completions"  # where the help of `azaks completion` puts it
    script = f"mkdir -p {folder}; azaks completion fish > {folder}/azaks.fish; {asked}"
    done = subprocess.run(
        [str(FISH), "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, env=environment(place),
        check=False, cwd=place,
    )  # fmt: skip
    assert done.stderr == ""
    parts = re.split(r"^:\d\n", done.stdout, flags=re.MULTILINE)[1:]
    found = [{line.split("\t")[0] for line in part.splitlines()} for part in parts]
    assert found == [candidates for _, candidates in CASES]


class Terminal:
    """A zsh on a terminal of its own. Lines of it that begin with `=` are what its completion offered."""

    def __init__(self, place: Path) -> None:
        self._process, self._screen = pty.fork()
        if self._process == 0:
            os.chdir(place)
            os.execve(str(ZSH), ["zsh", "-f", "-i"], environment(place))

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def read_to(self, mark: str) -> str:
        """All that is written up to a mark. Fails when it does not come."""
        seen, until = "", time.monotonic() + PATIENCE_S
        while mark not in seen:
            ready, _, _ = select.select([self._screen], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{mark!r} did not come: {seen!r}"
            seen += os.read(self._screen, 65536).decode(errors="replace")
        return seen

    def close(self) -> None:
        os.close(self._screen)
        os.waitpid(self._process, 0)


@pytest.fixture
def zsh(place: Path) -> Iterator[Terminal]:
    terminal = Terminal(place)
    try:
        yield terminal
    finally:
        terminal.close()


SETTING_UP: Final = """
autoload -Uz compinit && compinit -u -D
eval "$(azaks completion zsh)"
LISTMAX=0
tell() { print -r -- "<${BUFFER}>" }
zle -N tell
bindkey '^T' tell
stty -echo
PROMPT=''
print -r -- "set"" up"
"""


@pytest.mark.skipif(ZSH is None, reason="NO ZSH HERE: completion in zsh is not tried (Debian's package zsh)")
def test_a_real_zsh_completes_verbs_options_and_values(zsh: Terminal) -> None:
    zsh.type(SETTING_UP)
    zsh.read_to("set up")
    for typed, candidates in CASES:
        zsh.type(f"{typed}\t\t\x14")
        shown = zsh.read_to(">")
        words = set(re.findall(r"[-\w]+", shown))
        assert candidates <= words, f"{typed}: {shown!r}"
        zsh.type("\x15")


@pytest.mark.skipif(ZSH is None, reason="NO ZSH HERE: completion in zsh is not tried (Debian's package zsh)")
def test_a_real_zsh_writes_the_only_candidate_out(zsh: Terminal) -> None:
    zsh.type(SETTING_UP)
    zsh.read_to("set up")
    zsh.type("azaks repl\t\x14")
    assert "<azaks replay" in zsh.read_to(">")
