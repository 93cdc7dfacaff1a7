"""A directory with hook settings for each test, run with this Python and, where there is one, with Python 3.6."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hooks_rig import HookDir, old_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD = old_python()
PYTHONS = [sys.executable, *([OLD] if OLD else [])]


@pytest.fixture(params=PYTHONS, ids=["this-python", "python3.6"][: len(PYTHONS)])
def hook_dir(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[HookDir]:
    """Nothing is configured yet; whatever runs detached has ended when the test is over."""
    directory = HookDir(tmp_path, request.param)
    yield directory
    if (tmp_path / "wake.lock").exists():
        directory.wait_idle()
