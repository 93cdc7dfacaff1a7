"""Settings from plain JSON, for a command line: the field names of `EmulatorSettings`, nested alike."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from autoscale_aks.emulator.draws import Delay
from autoscale_aks.emulator.faults import FaultRule
from autoscale_aks.emulator.settings import (
    BatchMode,
    BucketSpec,
    ClusterSpec,
    EmulatorSettings,
    Progress,
    QuotaSettings,
    ThrottleSettings,
    Timing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ALIASES = {"Progress": get_args(Progress), "BatchMode": get_args(BatchMode)}


def _choices(annotation: str) -> tuple[object, ...]:
    """The values a `Literal[…]` annotation allows; none for any other type."""
    if annotation.startswith("Literal["):
        return tuple(ast.literal_eval(f"({annotation[8:-1]},)"))
    return _ALIASES.get(annotation, ())


def read_settings(data: Mapping[str, Any]) -> EmulatorSettings:
    """Settings from a mapping. Raises `ValueError` that names the field it cannot read."""
    readers: dict[str, Callable[[Any], object]] = {
        "clusters": lambda rows: tuple(_cluster(row) for row in rows),
        "quota": lambda row: _build(QuotaSettings, "quota", row, {}),
        "faults": lambda rows: tuple(FaultRule.from_mapping(row) for row in rows),
        "timing": _timing,
        "throttle": _throttle,
        "actions": tuple,
        "restrictions": lambda rows: {size: tuple(zones) for size, zones in rows.items()},
    }
    settings: EmulatorSettings = _build(EmulatorSettings, "", data, readers)
    return settings


def load_settings(path: Path | str | None = None, **overrides: Any) -> EmulatorSettings:
    """Settings from a JSON file (none: the defaults); an override that is not None wins over the file.

    Raises `OSError` when the file cannot be opened and `ValueError` when it cannot be read.
    """
    data: Any = {} if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"{path}: a JSON object is expected")
    return read_settings({**data, **{name: value for name, value in overrides.items() if value is not None}})


def _cluster(row: Mapping[str, Any]) -> ClusterSpec:
    spec: ClusterSpec = _build(ClusterSpec, "clusters", row, {"pools": tuple})
    return spec


def _timing(row: Mapping[str, Any]) -> Timing:
    names = [item.name for item in dataclasses.fields(Timing) if item.name != "creation_stamp_s"]
    timing: Timing = _build(Timing, "timing", row, dict.fromkeys(names, _delay))
    return timing


def _delay(value: object) -> Delay:
    """A number of seconds, or the fields of `Delay`."""
    if isinstance(value, (int, float)):
        return Delay(float(value))
    delay: Delay = _build(Delay, "delay", value, {})
    return delay


def _throttle(row: Mapping[str, Any]) -> ThrottleSettings:
    buckets = [item.name for item in dataclasses.fields(ThrottleSettings) if "BucketSpec" in str(item.type)]
    throttle: ThrottleSettings = _build(ThrottleSettings, "throttle", row, dict.fromkeys(buckets, _bucket))
    return throttle


def _bucket(value: object) -> BucketSpec | None:
    return None if value is None else _build(BucketSpec, "bucket", value, {})


def _build(cls: type[Any], path: str, data: object, readers: Mapping[str, Callable[[Any], object]]) -> Any:
    where = path or "settings"
    if not isinstance(data, dict):
        raise ValueError(f"{where}: an object is expected")
    known = {item.name: _choices(str(item.type)) for item in dataclasses.fields(cls)}
    if unknown := sorted(set(data) - set(known)):
        raise ValueError(f"{where}: unknown field(s) {', '.join(unknown)}")
    for name, value in data.items():
        if known[name] and value not in known[name]:
            raise ValueError(f"{where}: {name} {value!r} is none of {', '.join(map(str, known[name]))}")
    try:
        return cls(**{name: readers[name](value) if name in readers else value for name, value in data.items()})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{where}: {error}") from error
