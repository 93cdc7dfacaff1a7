"""docs/aks.md is true: the tests it names exist, and so do the settings."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from autoscale_aks.config import parse_config, schema_text
from autoscale_aks.model.launch import FaultKind

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "aks.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DOCUMENT)
SECTIONS: Final = ("§1 ", "§2 ", "§3 ", "§4 ", "§5 ", "§6 ", "§7 ", "§9 ", "§11 ")
CHECKLIST: Final = 9
"""Lines of aks-machine-api.md §11."""


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_a_tick_names_exists(path: str, name: str) -> None:
    assert name in functions(path)


def test_every_tick_names_a_test() -> None:
    ticks = re.split(r"^- \[x\] ", DOCUMENT, flags=re.MULTILINE)[1:]
    assert len(ticks) > CHECKLIST
    assert [tick for tick in ticks if not re.search(r"`tests/[\w/]+\.py::\w+`", tick.split("\n\n")[0])] == []
    checklist = DOCUMENT.split("### §11 ")[1].split("And of the other sections")[0]
    assert checklist.count("- [x] ") == CHECKLIST


def test_every_section_that_concerns_a_client_is_there() -> None:
    assert [section for section in SECTIONS if f"### {section}" not in DOCUMENT] == []


def test_every_kind_of_error_has_its_line() -> None:
    assert [kind.value for kind in FaultKind if f"| `{kind.value}` |" not in DOCUMENT] == []


def test_the_settings_it_names_exist() -> None:
    schema = schema_text()
    keys = (
        "pool_api_version", "machine_api_version", "token_scope", "authority_url", "arm_url", "credential",
        "batch_header", "header_budget_bytes", "kubernetes_url", "kubernetes_ca_file", "kubernetes_config_file",
        "kubernetes_context", "kubernetes_in_cluster", "spot_max_price", "gpu_driver", "gpu_instance_profile",
        "os_sku", "node_image_version", "max_pods", "ssh_access", "max_placement_group_size",
    )  # fmt: skip
    for key in keys:
        assert f"`{key}" in DOCUMENT, key
        assert f'"{key}": {{' in schema, key


def test_the_configuration_it_shows_can_be_read() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert parse_config(example).aks.cluster == "aks-emulated"
    assert json.loads(example)["aks"]["credential"] == ["emulator"]


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", DOCUMENT):
        assert (ROOT / "docs" / target).exists(), target
