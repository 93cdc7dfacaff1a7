"""The records themselves: each names its section, none is left out, and the environment is read strictly."""

from __future__ import annotations

import re
from typing import Any

import pytest
from contract.contract_target import OUR_POOLS, PREFIX, RealCluster, check_ours, check_path, emulated, read_environment
from contract.exchange_stories import FOLDER, differences, load_stories, matches, read_file, sample

STORIES = load_stories()
SECTIONS = {
    "§1.1", "§2.1", "§2.2", "§2.3", "§2.4", "§2.5", "§2.6", "§3", "§4.1", "§4.2", "§4.3", "§5.1", "§5.2", "§5.3",
    "§6.1", "§6.2", "§6.3", "§6.4", "§7.1", "§7.2", "§7.3", "§7.4", "§7.5",
}  # fmt: skip
"""Those of aks-machine-api.md that say what goes over the wire."""
README = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
COMPLETE = {f"{PREFIX}{name}": "x" for name in ("SUBSCRIPTION", "RESOURCE_GROUP", "CLUSTER", "LOCATION", "VM_SIZE")} | {
    f"{PREFIX}POOL": f"{OUR_POOLS}1"
}


def test_every_exchange_names_its_section_and_every_section_has_one() -> None:
    assert {exchange.section for story in STORIES for exchange in story.exchanges} == SECTIONS


def test_names_of_stories_are_their_own_and_say_how_sure_we_are() -> None:
    names = [story.name for story in STORIES]
    assert len(set(names)) == len(names) > 50
    assert {story.confidence for story in STORIES} == {"H", "M", "L"}


def test_a_story_without_client_or_without_a_real_cluster_says_why() -> None:
    for story in STORIES:
        assert (story.client is None) == bool(story.no_client), story.id
        assert bool(story.only_emulated) or not (story.settings or story.faults), story.id


def test_the_readme_names_every_file_and_every_variable() -> None:
    files = [path.name for path in sorted(FOLDER.glob("*.json"))]
    assert [name for name in files if f"`{name}`" not in README] == []
    assert [name for name in COMPLETE if f"`{name}`" not in README] == []
    assert [read_file(path)["about"] for path in sorted(FOLDER.glob("*.json"))]


def test_no_record_holds_a_secret_or_a_real_name() -> None:
    for path in FOLDER.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"eyJ[\w-]{10,}|Bearer |[Pp]assword|sig=", text), path.name
        assert not re.search(r"https?://(?!arm\.example)\w", text), path.name


# Holding against a record


@pytest.mark.parametrize(
    ("expected", "actual", "count"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, 0),
        ({"a": {}}, {"a": {"b": 1}}, 1),
        ({"a": {}}, {"a": {}}, 0),
        ({"a": 1}, {"a": "1"}, 1),
        ({"a": 1}, {"a": True}, 1),
        ({"a": None}, {}, 1),
        ({"a": "<absent>"}, {}, 0),
        ({"a": "<absent>"}, {"a": None}, 1),
        ([1, 2], [1, 2], 0),
        ([1], [1, 2], 1),
        ([{"a": 1}], [{"a": 2}], 1),
        ({"a": {"$has": [2]}}, {"a": [1, 2]}, 0),
        ({"a": {"$has": [3]}}, {"a": [1, 2]}, 1),
        ({"a": {"$json": {"b": 1}}}, {"a": '{"b": 1}'}, 0),
        ({"a": {"$json": {"b": 1}}}, {"a": '{"b": 2}'}, 1),
        ({"a": {"$json": {"b": 1}}}, {"a": "no json"}, 1),
        ({"a": {"$sample": "x", "$match": "…y…"}}, {"a": "xyz"}, 0),
        ({"a": 1}, [], 1),
    ],
)
def test_differences_are_what_a_record_does_not_allow(expected: Any, actual: Any, count: int) -> None:
    assert len(differences(expected, actual)) == count


@pytest.mark.parametrize(
    ("pattern", "text", "same"),
    [
        ("a…c", "abc", True),
        ("a…c", "abd", False),
        ("<guid>", "0d7c6c0e-0000-4000-8000-000000000001", True),
        ("<guid>", "0d7c6c0e", False),
        ("<time>", "2026-05-20T21:39:36Z", True),
        ("<time>", "yesterday", False),
        ("aks-<8 digits>-vm", "aks-12345678-vm", True),
        ("aks-<8 digits>-vm", "aks-1234567-vm", False),
        ("a.c", "abc", False),
    ],
)
def test_tokens_stand_for_what_differs_each_time(pattern: str, text: str, same: bool) -> None:
    assert matches(pattern, text) is same


def test_what_a_script_answers_is_as_recorded() -> None:
    for story in STORIES:
        for exchange in story.exchanges:
            body = exchange.response.get("body")
            if body is not None and "nextLink" not in body:
                assert differences(body, sample(body)) == [], story.id


# Where the requests go


def test_without_variables_the_emulator_is_used() -> None:
    assert read_environment({"PATH": "/bin"}) is None


def test_with_all_variables_a_real_cluster_is_used() -> None:
    assert read_environment(COMPLETE) == RealCluster(
        subscription="x", resource_group="x", cluster="x", pool=f"{OUR_POOLS}1", location="x", vm_size="x"
    )
    assert read_environment({**COMPLETE, f"{PREFIX}CLOUD": "usgov"}).cloud == "usgov"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", sorted(COMPLETE))
@pytest.mark.parametrize("value", [None, ""])
def test_half_of_the_variables_is_an_error_and_not_the_emulator(name: str, value: str | None) -> None:
    given = {key: text for key, text in COMPLETE.items() if key != name} | ({name: value} if value is not None else {})
    with pytest.raises(ValueError, match=name):
        read_environment(given)


def test_a_variable_with_a_slip_in_its_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown: AZAKS_CONTRACT_VMSIZE"):
        read_environment({**COMPLETE, f"{PREFIX}VMSIZE": "x"})


@pytest.mark.parametrize("pool", ["nodepool1", "system", "Azakst1", ""])
def test_a_pool_that_is_not_ours_is_never_changed(pool: str) -> None:
    with pytest.raises(ValueError, match="not ours"):
        check_ours(pool)
    with pytest.raises(ValueError, match="not ours"):
        check_path(f"/subscriptions/s/resourceGroups/g/x/managedClusters/c/agentPools/{pool}/deleteMachines", None)
    with pytest.raises(ValueError, match=r"not ours|too"):
        read_environment({**COMPLETE, f"{PREFIX}POOL": pool})


def test_every_change_a_story_makes_is_in_a_pool_it_was_given() -> None:
    """So that on a real cluster the check above sees all of them."""
    with emulated({}, (), new_pool=False):
        for story in STORIES:
            requests = [*story.given, *(each.request for each in story.exchanges)]
            requests += [request for each in story.exchanges for request in each.meanwhile]
            changes = [request["path"] for request in requests if request["method"] != "GET"]
            assert [path for path in changes if not path.startswith("{pool}")] == [], story.id
