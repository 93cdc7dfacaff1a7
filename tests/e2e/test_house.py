"""The house stands as it is drawn: rooms, directions, cheap imports, nothing secret in the files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "autoscale_aks"
LINTER: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def layers() -> list[set[str]]:
    (contract,) = [one for one in LINTER["contracts"] if one["type"] == "layers"]
    return [set(re.findall(r"[a-z_]+", layer)) for layer in contract["layers"]]


def rooms() -> set[str]:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_every_room_has_its_floor_in_the_import_linter() -> None:
    (contract,) = [one for one in LINTER["contracts"] if one["type"] == "layers"]
    drawn = set().union(*layers())
    assert rooms() - drawn == set(contract["exhaustive_ignores"])
    assert contract["exhaustive"] is True
    assert contract["containers"] == ["autoscale_aks"]


def test_the_floors_stand_in_the_order_of_the_house() -> None:
    order = ["cli", "loop", "reconcile", "cloud", "planning", "matching", "model", "units"]
    floor = {room: number for number, layer in enumerate(layers()) for room in layer}
    assert [floor[room] for room in order] == sorted(floor[room] for room in order)
    assert len({floor[room] for room in order}) == len(order)
    assert {floor[room] for room in ("cloud", "emulator", "schedulers", "ledger", "reports", "config", "clock")} == {
        floor["cloud"]
    }, "neighbours, which may not import each other"


def test_the_pure_rooms_are_forbidden_clocks_files_and_networks() -> None:
    contracts = [one for one in LINTER["contracts"] if one["type"] == "forbidden"]
    (pure,) = [one for one in contracts if "autoscale_aks.planning" in one["source_modules"]]
    assert {f"autoscale_aks.{room}" for room in ("model", "matching", "planning", "reports")} <= set(
        pure["source_modules"]
    )
    assert {"os", "time", "random", "subprocess", "socket", "http", "logging"} <= set(pure["forbidden_modules"])
    (hooks,) = [one for one in contracts if one["source_modules"] == ["autoscale_aks.hooks"]]
    assert "autoscale_aks.model" in hooks["forbidden_modules"]


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_but_itself() -> None:
    extra = loaded_by("import autoscale_aks") - loaded_by("pass")
    assert extra <= {"autoscale_aks", "__future__"}


def test_the_command_line_loads_the_heavy_only_when_a_verb_needs_it() -> None:
    heavy = {"requests", "azure", "azure.identity", "rich", "jsonschema", "sqlite3", "numpy", "uvicorn", "starlette"}
    assert loaded_by("import autoscale_aks.cli.main") & heavy == set()
    assert loaded_by("import autoscale_aks.cli.plan") & {"requests", "azure.identity", "sqlite3", "uvicorn"} == set()


def test_the_emulator_shares_nothing_with_the_client_it_tests() -> None:
    loaded = loaded_by("import autoscale_aks.emulator.server")
    assert {name for name in loaded if name.startswith("autoscale_aks.")} == {
        name for name in loaded if name.startswith("autoscale_aks.emulator")
    }


TEXTS = sorted(
    path
    for folder in ("autoscale_aks", "conf", "docs", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix != ".pyc"
) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "setup.py", "pyproject.toml")]
SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a cloud access key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a storage key": r"AccountKey=[A-Za-z0-9+/]{40,}",
    "a signed address": r"[?&]sig=[A-Za-z0-9%]{20,}",
    "a token of a code host": r"\b(gh[pousr]_[A-Za-z0-9]{30,}|glpat-[A-Za-z0-9_-]{15,}|github_pat_[A-Za-z0-9_]{20,})",
    "a password": r"(?i)\b(password|passwd|client_secret)\b\s*[=:]\s*[\"'][^\"'{<\s]{8,}[\"']",
    "a client secret of Entra ID": r"\b[A-Za-z0-9_~.-]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}\b",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_no_file_that_is_shipped_holds(kind: str) -> None:
    pattern = re.compile(SECRETS[kind])
    found = [str(path.relative_to(ROOT)) for path in TEXTS if pattern.search(path.read_text(errors="replace"))]
    assert found == []


def test_no_file_that_is_shipped_tells_of_the_machine_it_was_written_on() -> None:
    pattern = re.compile(r"(?<![\w.])/(work|root|Users)/\w")
    assert [str(path.relative_to(ROOT)) for path in TEXTS if pattern.search(path.read_text(errors="replace"))] == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a private key", "-----BEGIN RSA PRIVATE KEY-----"),
        ("a JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0xxxx.abc"),
        ("a password", 'password = "correct-horse"'),
        ("a signed address", "https://x/y?sv=1&sig=abcdefghijklmnopqrstuvwx"),
    ],
)
def test_the_search_for_secrets_finds_them(kind: str, text: str) -> None:
    assert re.search(SECRETS[kind], text)
