"""Answers that are kept: believed only when they are whole, ours and not from the future."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from autoscale_aks.cloud.azure.cache import FileCache, Kept

if TYPE_CHECKING:
    from pathlib import Path

KEPT = Kept(items=({"a": 1},), taken_at=5.0)


def cache(directory: Path | None, **more: Any) -> FileCache:
    return FileCache(directory, scope=more.pop("scope", "cloud"), **more)


def test_what_was_kept_is_there_for_the_next_run(tmp_path: Path) -> None:
    cache(tmp_path / "new" / "directory").store("skus eastus", KEPT)
    assert cache(tmp_path / "new" / "directory").load("skus eastus") == KEPT
    assert [path.suffix for path in (tmp_path / "new" / "directory").iterdir()] == [".json"]


def test_other_keys_and_other_clouds_have_files_of_their_own(tmp_path: Path) -> None:
    cache(tmp_path).store("skus eastus", KEPT)
    assert cache(tmp_path).load("skus eastus2") == Kept()
    assert cache(tmp_path, scope="other").load("skus eastus") == Kept()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    cache(tmp_path, writes=False).store("key", KEPT)
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_nothing_is_kept() -> None:
    cache(None).store("key", KEPT)
    assert cache(None).load("key") == Kept()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 2}', "\x00" * 50, json.dumps({"format": 1, "key": "other", "items": []}),
     "[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    cache(tmp_path).store("key", KEPT)
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert cache(tmp_path).load("key") == Kept()
    cache(tmp_path).store("key", KEPT)
    assert cache(tmp_path).load("key") == KEPT


@pytest.mark.parametrize("change", [{"items": 5}, {"taken_at": "now"}, {"taken_at": None}, {"items": None}])
def test_an_answer_without_items_or_moment_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    cache(tmp_path).store("key", KEPT)
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert cache(tmp_path).load("key").items is None


def test_a_directory_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache(tmp_path / "file").store("key", KEPT)
    assert cache(tmp_path / "file").load("key") == Kept()
