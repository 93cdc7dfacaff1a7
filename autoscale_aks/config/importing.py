"""cyclecloud-scalelib's `autoscale.json` → ours, with a word on every key of it. Pure.

Their file says how a scheduler's resources map to nodes and how long nodes live; node arrays, VM sizes and quota stand
in a CycleCloud cluster, which does not exist here. So what they leave to CycleCloud must be added by hand, and says so.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.errors import ConstraintError
from autoscale_aks.matching.resources import parse_default_resources

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verdict(enum.Enum):
    """What became of a key."""

    TAKEN = "taken"
    RENAMED = "renamed"
    MEANINGLESS = "meaningless here"
    LOST = "not supported"
    ADD = "to be added"


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of theirs (or one that ours needs), what became of it, and why."""

    path: str
    verdict: Verdict
    note: str


@dataclass(slots=True)
class Import:
    """What was made of a file."""

    document: dict[str, Any]
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_lossless(self) -> bool:
        """Whether everything that means something here was taken."""
        return all(one.verdict is not Verdict.LOST for one in self.differences)

    def say(self, path: str, verdict: Verdict, note: str = "") -> None:
        """Note what became of a key."""
        self.differences.append(Difference(path, verdict, note))


_NOTHING: Final[Mapping[str, str]] = {
    "cluster_name": "that was CycleCloud's cluster; the AKS cluster is aks.cluster",
    "username": "nobody logs in with a name; aks.credential names the host's identity",
    "password": "secrets do not belong in the file; take it out of the old one too",
    "url": "there is no CycleCloud server",
    "verify_certificates": "certificates are always verified",
    "lock_file": "the ledger holds the lock (ledger.path)",
    "read_only": "a dry run is a command: azaks demand",
    "logging": "its loggers are scalelib's; conf/logging.conf is a start for logging.config_file",
    "config_dir": "the ledger's directory holds what is remembered",
    "assume_standalone_hostnames": "the scheduler's node names are found by the driver",
    "accounting": "what was paid stands in Azure's cost reports",
    "cost": "what was paid stands in Azure's cost reports",
    "cost_cache_root": "what was paid stands in Azure's cost reports",
    "accounting_subscription_id": "what was paid stands in Azure's cost reports",
}
_MODIFIERS: Final = ("add", "subtract", "multiply", "divide", "divide_floor")
_PLAIN_SIZE: Final = re.compile(r"\d+(\.\d+)?[A-Za-z]{1,2}\Z")
_NAME: Final = re.compile(r"[^a-z0-9-]+")
_EXAMPLES: Final = frozenset({"default_resources", "nodearrays", "limits", "idle_timeout", "boot_timeout"})
"""Keys of a first configuration that would speak where their file is silent."""
_COLUMNS: Final = frozenset({"output_columns", "output-columns", "default-output-columns"})


def import_scalelib(theirs: Mapping[str, Any], ours: dict[str, Any], buckets: Mapping[str, Any]) -> Import:
    """Their document, laid over `ours` (a document with cluster and ledger). `buckets`: node array → its first bucket.

    Every key of theirs gets a difference; so does what ours needs and theirs cannot say.
    """
    made = Import({key: value for key, value in ours.items() if key not in _EXAMPLES})
    for key, value in theirs.items():
        if key.startswith("_") or key in _NOTHING:
            made.say(key, Verdict.MEANINGLESS, _NOTHING.get(key, "it served scalelib's own tests"))
        elif key == "default_resources" and isinstance(value, list):
            made.document[key] = list(_resources(value, made))
        elif key == "disable_default_resources":
            made.document[key] = bool(value)
            made.say(key, Verdict.TAKEN, "built-in resources stand after the list here, so that an own entry wins")
        elif key in {"idle_timeout", "boot_timeout"}:
            made.document[key] = value
        elif key in _COLUMNS:
            made.say(key, Verdict.LOST, "columns have other names here: azaks columns; then default_columns")
        elif key in _SCHEDULERS and isinstance(value, dict):
            _SCHEDULERS[key](value, made)
        elif key != "nodearrays":
            made.say(key, Verdict.LOST, "this key is not known")
    _nodearrays(theirs, buckets, made)
    _timeouts(theirs, made)
    for key in ("subscription", "resource_group", "cluster", "location", "owner"):
        made.say(f"aks.{key}", Verdict.ADD, "which AKS cluster, and our mark on it; see azaks config schema")
    return made


def _resources(entries: list[Any], made: Import) -> Any:
    """Their entries, each tried with our own reader."""
    for index, entry in enumerate(entries):
        path = f"default_resources[{index}]"
        if not isinstance(entry, dict):
            made.say(path, Verdict.LOST, "this is no object")
            continue
        changed = {key: _sized(value) if key in _MODIFIERS else value for key, value in entry.items()}
        try:
            parse_default_resources([changed], disable_defaults=False)
        except ConstraintError as error:
            said = "; ".join(
                f"{problem.path.partition('.')[2] or 'entry'}: {problem.message}" for problem in error.problems
            )
            made.say(path, Verdict.LOST, said)
            continue
        if changed != entry:
            made.say(path, Verdict.RENAMED, "a size is written memory::1g here")
        else:
            made.say(path, Verdict.TAKEN, str(entry.get("name", "")))
        yield changed


def _sized(value: Any) -> Any:
    return f"memory::{value}" if isinstance(value, str) and _PLAIN_SIZE.match(value) else value


def _nodearrays(theirs: Mapping[str, Any], buckets: Mapping[str, Any], made: Import) -> None:
    raw = theirs.get("nodearrays", {})
    arrays = raw if isinstance(raw, dict) else {}
    if raw and not arrays:
        made.say("nodearrays", Verdict.LOST, "this is no object")
    timed = [name for key in ("idle_timeout", "boot_timeout") for name in _named(theirs.get(key))]
    names = dict.fromkeys([*(name for name in arrays if name != "default"), *timed, *buckets])
    common = arrays.get("default", {})
    made.document["nodearrays"] = {
        _our_name(name): _nodearray(name, {**common, **arrays.get(name, {})}, buckets.get(name), made)
        for name in names or ("htc",)
    }
    if common:
        made.say("nodearrays.default", Verdict.RENAMED, "laid under every node array; there is no default one here")


def _named(timeout: Any) -> list[str]:
    return [name for name in timeout if name != "default"] if isinstance(timeout, dict) else []


def _our_name(name: str) -> str:
    return _NAME.sub("-", name.lower()).strip("-")[:16] or "nodes"


def _nodearray(name: str, settings: Mapping[str, Any], bucket: Any, made: Import) -> dict[str, Any]:
    path = f"nodearrays.{name}"
    found: dict[str, Any] = {}
    if _our_name(name) != name:
        made.say(path, Verdict.RENAMED, f"it is {_our_name(name)} here: machine names are made from it")
        found["resources"] = {"nodearray": name}
    for key, value in settings.items():
        if key == "placement_groups" and isinstance(value, list):
            found[key] = value
            made.say(f"{path}.{key}", Verdict.TAKEN)
        elif key == "generated_placement_group_buffer":
            if value:
                found["new_placement_groups"] = True
            made.say(f"{path}.{key}", Verdict.RENAMED, "new_placement_groups: groups are made when a job needs one")
        elif key == "max_placement_groups":
            made.say(
                f"{path}.{key}", Verdict.LOST, "the number of groups is not limited; name them in placement_groups"
            )
        else:
            made.say(f"{path}.{key}", Verdict.LOST, "this key is not known")
    if bucket is None:
        found["enabled"] = False
        bucket = {"vm_size": "Standard_D4s_v5", "vcpu_count": 4, "memory_gb": 16}
        note = "CycleCloud had its VM sizes; the one here is an example, and the node array is not enabled"
        made.say(f"{path}.buckets", Verdict.ADD, note)
    found["buckets"] = [bucket]
    if len(_our_name(name).replace("-", "")) > 12 or "-" in _our_name(name) or not _our_name(name)[0].isalpha():
        found["agent_pool"] = ("p" + _our_name(name).replace("-", ""))[:12]
        made.say(
            f"{path}.agent_pool", Verdict.ADD, f"{found['agent_pool']}: the name is too long for a pool's, or has -"
        )
    return found


def _timeouts(theirs: Mapping[str, Any], made: Import) -> None:
    for key in ("idle_timeout", "boot_timeout"):
        value = theirs.get(key)
        if isinstance(value, dict):
            made.document[key] = {name if name == "default" else _our_name(name): one for name, one in value.items()}
        if key in theirs:
            made.say(key, Verdict.TAKEN, "seconds")


def _openpbs(settings: Mapping[str, Any], made: Import) -> None:
    made.document["scheduler"] = scheduler = {"type": "openpbs"}
    for key, value in settings.items():
        path = f"pbspro.{key}"
        if key == "ignore_queues" and isinstance(value, list):
            scheduler["queues"] = {queue: [] for queue in value}  # type: ignore[assignment]
            made.say(path, Verdict.RENAMED, "scheduler.queues: a queue without node arrays is not served")
        elif key == "read_only_resources":
            made.say(path, Verdict.MEANINGLESS, "resources of the server are never written")
        else:
            made.say(path, Verdict.LOST, "see docs/openpbs.md for the scheduler's settings")


def _gridengine(settings: Mapping[str, Any], made: Import) -> None:
    made.document["scheduler"] = scheduler = {"type": "gridengine"}
    for key, value in settings.items():
        path = f"gridengine.{key}"
        if key == "relevant_complexes":
            made.say(path, Verdict.MEANINGLESS, "what a job asks for counts where default_resources define it")
        elif key == "pes" and isinstance(value, dict):
            lying = [
                name for name, one in value.items() if isinstance(one, dict) and one.get("requires_placement_groups")
            ]
            if lying:
                scheduler["colocated"] = lying  # type: ignore[assignment]
            made.say(path, Verdict.RENAMED, "scheduler.colocated: environments whose jobs lie in one placement group")
        else:
            made.say(path, Verdict.LOST, "see scheduler.hostgroups and scheduler.join in docs/gridengine.md")


def _slurm(settings: Mapping[str, Any], made: Import) -> None:
    made.document["scheduler"] = {"type": "slurm"}
    for key in settings:
        made.say(f"slurm.{key}", Verdict.LOST, "see the scheduler's settings in azaks config schema")


_SCHEDULERS: Final = {"pbspro": _openpbs, "gridengine": _gridengine, "slurm": _slurm}
