"""A real control plane, started once for all tests that want it (KUBE_TEST_BIN)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Any]:
    kube_rig = pytest.importorskip("kube_rig", reason="the rig needs pyyaml and cryptography")
    with kube_rig.KubeRig() as running:
        yield running


@pytest.fixture
def rig(control_plane: Any) -> Iterator[Any]:
    """The control plane without pods and nodes."""
    yield control_plane
    for name in control_plane.pods():
        control_plane.end_pod(name)
    for item in control_plane.api("GET", "/api/v1/nodes")["items"]:
        control_plane.api("DELETE", f"/api/v1/nodes/{item['metadata']['name']}")
