"""What every hook file promises whatever it is called for: alone, old syntax, quick, silent about the environment."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from hooks_rig import CORE, HOOKS, HookDir, old_python

FILES = ("wake.py", "slurm_power.py", "openpbs_hook.py")
STANDARD = {"errno", "fcntl", "os", "signal", "sys", "time", "json", "_socket", "pwd", "pbs"}


def core_of(name: str) -> str:
    text = (HOOKS / name).read_text()
    begin, end = (text.index(mark) for mark in CORE)
    return text[begin:end]


@pytest.mark.parametrize("name", FILES)
def test_a_hook_is_python_3_6_and_imports_nothing_but_the_standard_library(name: str) -> None:
    tree = ast.parse((HOOKS / name).read_text(), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= STANDARD
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("name", FILES)
def test_a_real_python_3_6_takes_it(name: str) -> None:
    python = old_python()
    if python is None:
        pytest.skip("NO PYTHON 3.6 HERE: put python3.6 on PATH or name it in PYTHON36; the syntax is checked above")
    script = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'); print(sys.version_info[:2])"
    done = subprocess.run([python, "-IS", "-c", script, str(HOOKS / name)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(3, 6)"


@pytest.mark.parametrize("name", FILES[1:])
def test_every_hook_has_the_same_core(name: str) -> None:
    assert core_of(name) == core_of("wake.py")


@pytest.mark.parametrize("name", FILES)
def test_a_hook_loads_no_slow_module_to_wake_a_loop(name: str) -> None:
    script = (
        "import sys; sys.argv = ['x']; scope = {'__name__': 'hook', '__file__': 'x'}\n"
        f"exec(compile(open({str(HOOKS / name)!r}).read(), 'hook', 'exec'), scope)\n"
        "scope['tell']('/nowhere', 'e', 'd'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", script], capture_output=True, text=True, check=True)
    assert not {"socket", "subprocess", "threading", "logging", "re", "typing", "pathlib"} & set(done.stdout.split())


def test_the_environment_is_written_nowhere(hook_dir: HookDir) -> None:
    hook_dir.configure(spool=str(hook_dir.path / "spool.jsonl"))
    secret = "seven-of-nine"
    hook_dir.wake("--event", "resume", "hpc[1-4]", env={"AZURE_CLIENT_SECRET": secret, "PATH": "/usr/bin:/bin"})
    hook_dir.wait_idle()
    link = hook_dir.install("azaks-prolog")
    subprocess.check_call([sys.executable, "-IS", str(link)], env={"SLURM_JOB_ID": "7", "SPANK_TOKEN": secret})
    hook_dir.wait_idle()
    written = [path for path in hook_dir.path.iterdir() if path.is_file() and not path.is_symlink()]
    assert {"hook.log", "spool.jsonl"} <= {path.name for path in written}
    assert [path.name for path in written if secret in path.read_text()] == []
