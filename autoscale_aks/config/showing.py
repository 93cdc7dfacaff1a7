"""A configuration as rows: every key with its value and where that comes from. No secret is ever shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.loading import checked_document
from autoscale_aks.config.locating import line_numbers, path_text
from autoscale_aks.config.reading import read_file
from autoscale_aks.config.schema import schema_text
from autoscale_aks.config.secrecy import announces_secret, secret_kind

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from autoscale_aks.config.findings import Document, Path

HIDDEN: Final = "(hidden)"
DEFAULT: Final = "default"
_TWICE: Final = (("policy", "idle_timeout"), ("policy", "boot_timeout"))
"""Keys that stand at the top level too."""
_PATH: Final = "#/$defs/path"


@dataclass(frozen=True, slots=True)
class Shown:
    """One value: its key's path, the value as JSON, and `line 12` or `default`."""

    path: str
    value: Any
    source: str


def show_config(path: str | os.PathLike[str]) -> list[Shown]:
    """Every value of a configuration file and every default it leaves in force, in the order of the schema.

    Paths of files are resolved. Raises ConfigError as `load_config` does.
    """
    text = read_file(path)
    document = checked_document(text, str(path))
    return list(_Walk(FilePath(path).absolute().parent, line_numbers(text)).of(document, json.loads(schema_text()), ()))


class _Walk:
    """Goes through document and schema side by side."""

    def __init__(self, base: FilePath, lines: Mapping[Path, int]) -> None:
        self._base = base
        self._lines = lines
        self._defs = json.loads(schema_text())["$defs"]

    def of(self, value: Document, schema: Mapping[str, Any], path: Path) -> Iterator[Shown]:
        """The rows of one value."""
        is_path = schema.get("$ref") == _PATH
        schema = self._resolved(schema)
        if isinstance(value, dict) and value:
            yield from self._object(value, schema, path)
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            for index, one in enumerate(value):
                yield from self.of(one, schema.get("items", {}), (*path, index))
        else:
            shown = str(self._base / value) if is_path else _plain(value)
            yield Shown(path_text(path), _guarded(path, shown), f"line {self._line(path)}")

    def _object(self, value: dict[str, Any], schema: Mapping[str, Any], path: Path) -> Iterator[Shown]:
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        for key, child in value.items():
            found = known.get(key, others if isinstance(others, dict) else {})
            yield from self.of(child, found, (*path, key))
        for key, rules in known.items():
            if key not in value:
                yield from self._defaults(rules, (*path, key))

    def _defaults(self, rules: Mapping[str, Any], path: Path) -> Iterator[Shown]:
        schema = self._resolved(rules)
        if "default" in schema:
            if path not in _TWICE:
                yield Shown(path_text(path), schema["default"], DEFAULT)
            return
        for key, child in schema.get("properties", {}).items():
            if "object" in str(schema.get("type")):
                yield from self._defaults(child, (*path, key))

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = schema.get("$ref")
        if reference is None:
            return schema
        return {**self._defs[reference.rpartition("/")[2]], **schema}

    def _line(self, path: Path) -> int:
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines[path]


def _guarded(path: Path, value: Any) -> Any:
    """Settings of schedulers are anybody's: what looks like a secret after all is not shown (user ask T32a)."""
    names = [part for part in path if isinstance(part, str)]
    is_secret = isinstance(value, str) and (secret_kind(value) or (names and announces_secret(names[-1], value)))
    return HIDDEN if is_secret else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value if value is None or isinstance(value, bool | int | str) else float(value)
