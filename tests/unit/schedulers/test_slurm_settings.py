"""The keys of `{"type": "slurm"}`, and which type makes which scheduler."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from autoscale_aks.errors import ConfigError
from autoscale_aks.schedulers import registry
from autoscale_aks.schedulers.command.driver import CommandScheduler
from autoscale_aks.schedulers.registry import build_scheduler, known_types
from autoscale_aks.schedulers.slurm.driver import SlurmScheduler
from autoscale_aks.schedulers.slurm.settings import read_settings

SLURM = {"type": "slurm"}


def test_nothing_but_the_type_is_required() -> None:
    settings = read_settings(SLURM)
    assert (settings.squeue, settings.timeout_s, settings.memory_resource) == ("squeue", 60, "mem")
    assert settings.nodearrays_of(("htc", "mem", "htc")) == ("htc", "mem")
    assert settings.feature("ib") == {"feature_ib": True}
    assert settings.gpu_type("t4") == {"gpu_type": "t4"}


def test_relative_paths_start_where_the_configuration_is() -> None:
    settings = read_settings({**SLURM, "capture_dir": "sample", "slurm_conf": "/etc/s.conf"}, base=Path("/site"))
    assert (settings.capture_dir, settings.slurm_conf) == (Path("/site/sample"), Path("/etc/s.conf"))


@pytest.mark.parametrize(
    ("raw", "path", "message"),
    [
        ({"sqeue": "x"}, "scheduler.sqeue", 'did you mean "squeue"'),
        ({"unknown_is_runnable": True}, "scheduler.unknown_is_runnable", "unknown key"),
        ({"timeout_s": 0}, "scheduler.timeout_s", "more than 0"),
        ({"timeout_s": "soon"}, "scheduler.timeout_s", "expected a number"),
        ({"timeout_s": True}, "scheduler.timeout_s", "expected a number"),
        ({"max_output_bytes": 0}, "scheduler.max_output_bytes", "from 1"),
        ({"squeue": ""}, "scheduler.squeue", 'such as "squeue"'),
        ({"squeue": ["squeue"]}, "scheduler.squeue", "expected a text"),
        ({"capture_dir": "a\0b"}, "scheduler.capture_dir", "expected a path"),
        ({"capture_nodes": "yes"}, "scheduler.capture_nodes", "true or false"),
        ({"partitions": ["htc"]}, "scheduler.partitions", "expected an object"),
        ({"partitions": {"htc": [1]}}, "scheduler.partitions.htc[0]", "expected a text"),
        ({"features": {"ib": {"node.infinband": True}}}, "scheduler.features.ib.node.infinband", "did you mean"),
        ({"gpu_types": {"t4": 3}}, "scheduler.gpu_types.t4", "expected a constraint object"),
        ({"unknown_reasons": "drop"}, "scheduler.unknown_reasons", '"runnable" or "waiting"'),
        ({"memory_is_managed": "no"}, "scheduler.memory_is_managed", "true or false"),
        ({"create_nodes": {"h*": ["cpus"]}}, "scheduler.create_nodes.h*", "expected an attribute"),
        ({"create_nodes": {"h*": ["state=idle"]}}, "scheduler.create_nodes.h*", "expected an attribute"),
        ({"create_nodes": {"h*": ["NodeName=x"]}}, "scheduler.create_nodes.h*", "expected an attribute"),
    ],
)
def test_every_mistake_has_a_path_and_says_what_is_expected(raw: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_scheduler({**SLURM, **raw})
    (problem,) = caught.value.problems
    assert problem.path == path
    assert message in problem.message


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({**SLURM, "timeout_s": -1, "scontrl": "x", "features": {"a": 1}, "partitions": 7})
    assert len(caught.value.problems) == 4


def test_the_type_chooses_the_scheduler() -> None:
    assert isinstance(build_scheduler(SLURM), SlurmScheduler)
    assert isinstance(build_scheduler({"type": "command", "jobs": ["prog"]}), CommandScheduler)
    assert known_types()[:2] == ("slurm", "command")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("slrum", 'did you mean "slurm"'), ("lsf", "known are slurm, command"), (None, "it is missing"), (7, "'7'")],
)
def test_an_unknown_type_is_a_configuration_error(kind: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_scheduler({} if kind is None else {"type": kind})


def test_installed_packages_may_offer_types(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [
        EntryPoint("mine", "autoscale_aks.schedulers.command.driver:build", registry.ENTRY_POINT_GROUP),
        EntryPoint("broken", "no_such_package_here:build", registry.ENTRY_POINT_GROUP),
        EntryPoint("odd", "autoscale_aks:__version__", registry.ENTRY_POINT_GROUP),
        EntryPoint("slurm", "no_such_package_here:build", registry.ENTRY_POINT_GROUP),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: EntryPoints(offered))
    ours = tuple(registry._BUILT_IN)
    assert known_types() == (*ours, "broken", "mine", "odd")
    assert isinstance(build_scheduler({"type": "mine", "jobs": ["prog"]}), CommandScheduler)
    assert isinstance(build_scheduler(SLURM), SlurmScheduler), "ours cannot be replaced by accident"
    for kind, message in (("broken", "cannot be loaded"), ("odd", "not a scheduler factory")):
        with pytest.raises(ConfigError, match=message):
            build_scheduler({"type": kind})
