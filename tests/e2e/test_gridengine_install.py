"""conf/gridengine/install.py on a real qmaster: what is missing is made, once, and all of it can be taken back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gridengine_rig import PACKAGES, GridEngineRig, is_installed, may_make_machines

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.gridengine,
    pytest.mark.skipif(not is_installed(), reason=f"NO REAL GRID ENGINE HERE: apt-get install {PACKAGES} iproute2"),
    pytest.mark.skipif(not may_make_machines(), reason="NO REAL GRID ENGINE HERE: network namespaces need root"),
]

INSTALL = Path(__file__).parents[2] / "conf" / "gridengine" / "install.py"


@pytest.fixture(scope="module")
def rig() -> Iterator[GridEngineRig]:
    with GridEngineRig() as running:
        running.define_complex("slot_type slt STRING == YES NO NONE 0")
        running.define_group("@own")
        yield running


def install(rig: GridEngineRig, state: Path, *arguments: str) -> str:
    command = [sys.executable, "-IS", str(INSTALL), "--qconf", rig.wrapper("qconf"), "--state", str(state)]
    done = subprocess.run([*command, *arguments], env=rig.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def configuration(rig: GridEngineRig) -> list[list[str]]:
    complexes = [" ".join(line.split()) for line in rig.output("qconf", "-sc").splitlines()]
    return [sorted(complexes), rig.output("qconf", "-shgrpl").split(), rig.output("qconf", "-sm").split()]


def test_a_real_cell_is_prepared_once_and_left_as_it_was(rig: GridEngineRig, tmp_path: Path) -> None:
    state, order = tmp_path / "made.json", ("--hostgroup", "@own", "--hostgroup", "@htc", "--manager", "nobody")
    before = configuration(rig)
    said = install(rig, state, *order, "--dry-run")
    assert (configuration(rig), state.exists()) == (before, False)
    assert "qconf -am nobody" in said
    said = install(rig, state, *order)
    assert "complex slot_type is there already and stays as it is: slt STRING == YES NO NONE 0" in said
    complexes, groups, managers = configuration(rig)
    assert "gpu gpu INT <= YES YES 0 0" in complexes
    assert "exclusive excl BOOL EXCL YES YES 0 1000" in complexes
    assert "slot_type slt STRING == YES NO NONE 0" in complexes
    assert ({"@own", "@htc"} <= set(groups), "nobody" in managers) == (True, True)
    prepared = configuration(rig)
    again = install(rig, state, *order)
    assert (configuration(rig), [line for line in again.splitlines() if line.startswith("qconf")]) == (prepared, [])
    install(rig, state, "--undo")
    assert configuration(rig) == before
    assert json.loads(state.read_text()) == {}
