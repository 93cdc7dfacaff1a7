"""The frame of the command line: names, defaults, errors, completion, and what it costs to start."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from unit.cli.office import ROOT, run

from autoscale_aks.cli import main as entry
from autoscale_aks.cli import options
from autoscale_aks.cli.main import BAD_INPUT, DEFECT, DONE, INTERRUPTED, cli, main
from autoscale_aks.cli.verbs import ALIASES, ELSEWHERE, THEMES, aliases_of

if TYPE_CHECKING:
    from unit.cli.office import Office

HEAVY = ("requests", "azure", "numpy", "jsonschema", "urllib3", "rich", "starlette", "uvicorn", "celery", "yaml",
         "sqlite3", "ssl", "autoscale_aks.planning", "autoscale_aks.cloud", "autoscale_aks.schedulers",
         "autoscale_aks.emulator", "autoscale_aks.reconcile", "autoscale_aks.config", "importlib.metadata")  # fmt: skip
UNUSED_BY_DEMAND = (
    "requests", "azure", "starlette", "uvicorn", "celery", "yaml", "jsonschema", "referencing", "attr", "certifi",
    "jinja2", "prometheus_client", "highspy", "asyncio", "http.server", "logging.config", "numpy.random", "numpy.ma",
    "numpy.fft", "rich.table", "rich.progress", "autoscale_aks.emulator", "autoscale_aks.simulator",
    "autoscale_aks.loop", "autoscale_aks.doctor", "autoscale_aks.cloud.aks.lease", "autoscale_aks.config.validating",
    "autoscale_aks.hooks",
)  # fmt: skip
"""What costs a run of `demand` processor time without being of use: a goal of 500 ms is kept by this list."""
BASH = shutil.which("bash")


def imported(*arguments: str) -> set[str]:
    """The modules that a run of the program imports."""
    script = (
        "import sys; from autoscale_aks.cli.main import main; status = main(sys.argv[1:]);"
        "sys.stderr.write('\\n'.join(['', '#modules', *sys.modules])); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == DONE, done.stderr
    return set(done.stderr.split("#modules\n")[1].split())


def heavy_of(modules: set[str]) -> set[str]:
    return {name for name in HEAVY if any(one == name or one.startswith(f"{name}.") for one in modules)}


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["--version"], ["completion", "bash"]])
def test_what_needs_no_library_imports_none(arguments: list[str]) -> None:
    assert heavy_of(imported(*arguments)) == set()


def test_the_demand_report_imports_only_what_it_uses(office: Office) -> None:
    modules = imported("demand", "-c", office.config, "--format", "json")
    assert {name for name in UNUSED_BY_DEMAND if any(f"{one}.".startswith(f"{name}.") for one in modules)} == set()
    drivers = {
        name.split(".")[2]
        for name in modules
        if name.startswith("autoscale_aks.schedulers.") and name.endswith("driver")
    }
    assert drivers == {"command"}


def test_the_help_lists_every_verb_once_by_theme(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == DONE
    said = capsys.readouterr().out
    for verb in entry._VERBS:
        assert said.count(f"\n  {verb} ") == 1, verb
    assert [theme for theme in THEMES if f"\n{theme}:\n" not in said] == []
    assert max(map(len, said.splitlines())) <= 80


def test_every_verb_has_a_theme_and_an_example() -> None:
    context = click.Context(cli)
    themed = [verb for verbs in THEMES.values() for verb in verbs]
    assert sorted(themed) == sorted(set(themed))
    for verb in entry._VERBS:
        assert verb in themed
        command = cli.get_command(context, verb)
        assert command is not None
        assert re.search(r"Examples?: azaks ", command.help or ""), verb


@pytest.mark.parametrize(("name", "target"), list(aliases_of(entry._VERBS).items()))
def test_the_names_that_users_of_scalelib_know_lead_to_our_verbs(name: str, target: tuple[str, ...]) -> None:
    context = click.Context(cli)
    found = cli.get_command(context, name)
    wanted: click.Command | None = cli
    for word in target:
        assert isinstance(wanted, click.Group)
        wanted = wanted.get_command(context, word)
    assert found is wanted


def test_aliases_whose_verb_is_not_there_are_not_offered() -> None:
    assert set(aliases_of({"explain"})) == {"analyze"}
    assert set(ALIASES) & set(ELSEWHERE) == set()


def test_long_options_of_scalelib_are_understood(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["jobs", "-c", office.config, "--output-columns", "name", "--output-format", "csv"]
    assert main([*asked, "--constraint-expr", "name=a"]) == DONE
    assert capsys.readouterr().out == "name\na\n"


def test_a_verb_that_only_azslurm_has_is_told_where_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume"]) == BAD_INPUT
    assert "docs/hooks.md" in capsys.readouterr().err


def test_a_defect_is_one_line_with_what_where_and_next_and_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("on two\nlines")

    monkeypatch.setattr(options, "find_config", broken)
    assert main(["jobs"]) == DEFECT
    said = capsys.readouterr().err
    assert said.startswith("error: azaks jobs: ZeroDivisionError in autoscale_aks.cli.options, line ")
    assert said.endswith(": on two lines; next: repeat with --debug and report what it prints\n")
    assert len(said.splitlines()) == 1
    assert main(["jobs", "--debug"]) == DEFECT
    assert "Traceback" in capsys.readouterr().err


def test_debug_may_stand_behind_the_verb(office: Office) -> None:
    office.write("jobs.json", "not a job list")
    assert "Traceback" in run("demand", "-c", office.config, "--debug").stderr
    assert "Traceback" not in run("demand", "-c", office.config).stderr


def test_an_interrupt_anywhere_is_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(options, "find_config", interrupted)
    assert main(["jobs"]) == INTERRUPTED
    assert capsys.readouterr().err.strip() == "interrupted"


def test_the_configuration_is_found_by_argument_then_variable_then_here_then_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZAKS_CONFIG", raising=False)
    monkeypatch.setattr(options, "SYSTEM_CONFIG", tmp_path / "system.json")
    assert options.find_config() is None
    (tmp_path / "system.json").touch()
    assert options.find_config() == tmp_path / "system.json"
    (tmp_path / "autoscale.json").touch()
    assert options.find_config() == Path("autoscale.json")
    monkeypatch.setenv("AZAKS_CONFIG", "named.json")
    assert options.find_config() == Path("named.json")
    monkeypatch.setenv("AZAKS_CONFIG", "")
    assert options.find_config() == Path("autoscale.json")


def test_a_configuration_here_that_is_a_strangers_is_not_taken_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZAKS_CONFIG", raising=False)
    (tmp_path / "autoscale.json").touch()
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "autoscale.json").stat().st_uid + 1)
    if (tmp_path / "autoscale.json").stat().st_uid == 0:
        os.chown(tmp_path / "autoscale.json", 12345, -1)
    assert main(["demand"]) == BAD_INPUT
    assert "belongs to another user" in capsys.readouterr().err


def test_a_verb_without_a_configuration_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZAKS_CONFIG", raising=False)
    monkeypatch.setattr(options, "SYSTEM_CONFIG", tmp_path / "none.json")
    assert main(["demand"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert all(word in said for word in ("AZAKS_CONFIG", "./autoscale.json", "azaks config init"))


def test_the_variable_is_used_by_acting_and_looking_verbs(office: Office) -> None:
    for verb in ("demand", "jobs", "autoscale"):
        done = run(verb, cwd=office.directory.parent, AZAKS_CONFIG=office.config)
        assert done.returncode == DONE, done.stderr
    assert len(office.machines()) == 3


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == DONE
    assert "_AZAKS_COMPLETE" in capsys.readouterr().out


@pytest.mark.skipif(BASH is None, reason="no bash on this host")
@pytest.mark.parametrize(
    ("words", "found"),
    [("azaks val", ["validate", "validate-constraint"]), ("azaks jobs --col", ["--columns"]),
     ("azaks config s", ["schema", "show"]), ("azaks completion ", ["bash", "fish", "zsh"])],
)  # fmt: skip
def test_a_real_bash_completes_verbs_and_options(words: str, found: list[str], tmp_path: Path) -> None:
    program = tmp_path / "azaks"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom autoscale_aks.cli.main import main\nsys.exit(main())\n")
    program.chmod(0o755)
    script = f"""
        export PATH="{tmp_path}:$PATH" PYTHONPATH="{ROOT}"
        eval "$(azaks completion bash)"
        complete -p azaks | sed 's/.*-F \\([^ ]*\\) .*/\\1/' > "{tmp_path}/function"
        IFS=' ' read -ra COMP_WORDS <<< "{words}"
        [[ "{words}" == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        "$(cat "{tmp_path}/function")" azaks
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([str(BASH), "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert sorted(done.stdout.split()) == found, done.stderr


def test_refreshing_completion_is_said_to_be_needless(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refresh_autocomplete"]) == DONE
    assert "nothing to refresh" in capsys.readouterr().out


def test_the_version_for_a_report_names_python_and_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--format", "json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert {"azaks", "python", "platform", "libraries"} <= set(found)
    assert found["libraries"]["click"] is not None
