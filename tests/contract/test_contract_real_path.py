"""What only happens on a real cluster, rehearsed: an emulator that the tests may not move stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from contract import contract_target, test_contract_lifecycle, test_exchanges_service
from contract.contract_target import OUR_POOLS, PREFIX
from contract.exchange_stories import load_stories

from autoscale_aks.cloud.aks.auth import StaticTokenSource
from autoscale_aks.cloud.aks.effects import Effects
from autoscale_aks.cloud.aks.endpoints import Cloud
from autoscale_aks.emulator.server import EmulatorServer
from autoscale_aks.emulator.settings import ClusterSpec, EmulatorSettings
from autoscale_aks.emulator.store import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.exchange_stories import Story

SPEC = ClusterSpec(name="lent", resource_group="rg-lent", pools=("nodepool1",))
POOL = f"{OUR_POOLS}1"
STORIES = [story for story in load_stories() if not story.only_emulated]


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """A cluster named by the environment; only waiting lets its time pass."""
    with EmulatorServer(EmulatorSettings(clusters=(SPEC,), speed=0.0)) as server:
        cloud = Cloud("public", server.base_url, "scope/.default", "login.example")
        monkeypatch.setattr(contract_target, "find_cloud", lambda _: cloud)
        tokens = StaticTokenSource("t", endpoint=server.base_url)
        monkeypatch.setattr(contract_target, "AzureTokenSource", lambda *_: tokens)
        monkeypatch.setattr(contract_target, "pause", lambda: server.clock.advance(60))
        for name, value in {
            "SUBSCRIPTION": SPEC.subscription,
            "RESOURCE_GROUP": SPEC.resource_group,
            "CLUSTER": SPEC.name,
            "POOL": POOL,
            "LOCATION": SPEC.location,
            "VM_SIZE": "Standard_D4s_v5",
        }.items():
            monkeypatch.setenv(PREFIX + name, value)
        yield server


def check_clean(server: EmulatorServer) -> None:
    """Everything that was changed was in pools of ours, and nothing is left that will stay."""
    changed = [entry.path for entry in server.journal.entries() if entry.method != "GET"]
    assert [path for path in changed if f"/agentPools/{OUR_POOLS}" not in path] == []
    server.clock.advance(600)
    server.catch_up()
    assert {pool.name for pool in server.state.pools()} <= {"nodepool1", POOL}
    assert {machine.state for pool in server.state.pools() for machine in pool.listed()} <= {State.DELETING}


@pytest.mark.parametrize("story", STORIES, ids=[story.id for story in STORIES])
def test_a_story_runs_on_a_cluster_it_cannot_move_and_leaves_nothing_behind(lent: EmulatorServer, story: Story) -> None:
    test_exchanges_service.test_the_service_answers_as_recorded(story)
    assert lent.journal.entries() != []
    check_clean(lent)


def test_the_lifecycle_runs_on_a_cluster_it_cannot_move_and_leaves_nothing_behind(
    lent: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    effects = Effects(now=lent.clock.now, sleep=lambda seconds: lent.clock.advance(seconds) and None)
    monkeypatch.setattr(test_contract_lifecycle, "Effects", lambda: effects)
    test_contract_lifecycle.test_a_pool_and_its_machines_are_made_proved_and_deleted()
    assert lent.journal.entries() != []
    check_clean(lent)


def test_a_story_that_needs_a_fault_is_skipped_with_its_reason(lent: EmulatorServer) -> None:
    story = next(story for story in load_stories() if story.only_emulated)
    with pytest.raises(pytest.skip.Exception, match="not on a real cluster"):
        test_exchanges_service.test_the_service_answers_as_recorded(story)
    assert lent.journal.entries() == []
