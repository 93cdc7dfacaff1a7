"""Objects as the API server writes them → small records. A faulty one raises ValueError and is left out alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from frozendict import frozendict

from autoscale_aks.schedulers.kubernetes.quantities import quantity_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from autoscale_aks.units import Number

MIRROR: Final = "kubernetes.io/config.mirror"
OVER: Final = frozenset({"Succeeded", "Failed"})
NOTHING: Final[Mapping[str, str]] = frozendict()
_OF_NODE: Final = frozenset({"DaemonSet", "Node"})


class Owner(NamedTuple):
    """The controller that made a pod; all empty without one."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""


NOBODY: Final = Owner()


class Pod(NamedTuple):
    """What matters of a pod. A tuple, because there are a hundred thousand of them; nothing changes what it holds."""

    name: str
    spec: Mapping[str, Any]
    """What pods of one template have in common is one object (`pages`): `nodeName` stands beside it."""
    status: Mapping[str, Any]
    namespace: str = "default"
    uid: str = ""
    labels: Mapping[str, str] = NOTHING
    annotations: Mapping[str, str] = NOTHING
    owner: Owner = NOBODY
    created: str = ""
    node_name: str = ""
    """The node it is bound to; empty while it waits."""
    terminating: bool = False

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def is_over(self) -> bool:
        """Whether it holds nothing any more."""
        phase = self.status.get("phase")
        return isinstance(phase, str) and phase in OVER

    @property
    def stays_with_node(self) -> bool:
        """A DaemonSet's pod, or the mirror of a static one: it leaves with its node and holds it for nobody."""
        return self.owner.kind in _OF_NODE or MIRROR in self.annotations


def read_pod(raw: Any) -> Pod:
    """An object as the API server writes it; a pod is itself. Raises ValueError with what is wrong."""
    if isinstance(raw, Pod):
        return raw
    meta, spec, status = mapping_at(raw, "metadata"), mapping_at(raw, "spec"), mapping_at(raw, "status")
    name = text_at(meta, "name")
    if not name or not spec:
        raise ValueError("a pod without name or spec")
    return Pod(
        name=name,
        spec=spec,
        status=status,
        namespace=text_at(meta, "namespace") or "default",
        uid=text_at(meta, "uid") or name,
        labels=texts_at(meta, "labels"),
        annotations=texts_at(meta, "annotations"),
        owner=owner_of(list_at(meta, "ownerReferences")),
        created=text_at(meta, "creationTimestamp"),
        node_name=text_at(spec, "nodeName"),
        terminating=bool(meta.get("deletionTimestamp")),
    )


def owner_of(references: Iterable[Any]) -> Owner:
    """The controller among owner references. Raises ValueError."""
    for item in references:
        if mapping(item).get("controller") is True:
            return Owner(*(text_at(item, key) for key in ("kind", "name", "uid", "apiVersion")))
    return NOBODY


def requests_of(spec: Mapping[str, Any]) -> dict[str, Number]:
    """What kube-scheduler charges a pod: the larger of its containers together and its init containers one by one.

    Init containers that keep running (`restartPolicy: Always`) count beside all that start after them; requests of the
    pod as a whole replace those of its containers; `overhead` comes on top. A resource that has a limit only is
    requested in that amount. Raises ValueError.
    """
    running: dict[str, Number] = {}
    sidecars: dict[str, Number] = {}
    peak: dict[str, Number] = {}
    for container in list_at(spec, "initContainers"):
        wanted = _requests(container)
        if mapping(container).get("restartPolicy") == "Always":
            _add(sidecars, wanted)
            wanted = dict(sidecars)
        else:
            _add(wanted, sidecars)
        _raise_to(peak, wanted)
    for container in list_at(spec, "containers"):
        _add(running, _requests(container))
    _add(running, sidecars)
    _raise_to(running, peak)
    running.update(_requests(spec))
    _add(running, {name: quantity_of(amount) for name, amount in mapping_at(spec, "overhead").items()})
    return running


def _requests(container: Any) -> dict[str, Number]:
    resources = mapping_at(container, "resources")
    wanted = {**mapping_at(resources, "limits"), **mapping_at(resources, "requests")}
    return {str(name): quantity_of(amount) for name, amount in wanted.items()}


def _add(total: dict[str, Number], more: Mapping[str, Number]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise_to(total: dict[str, Number], least: Mapping[str, Number]) -> None:
    for name, amount in least.items():
        total[name] = max(total.get(name, 0), amount)


def mapping(value: Any) -> Mapping[str, Any]:
    """The object itself; an empty one for null and absent. Raises ValueError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {value!r:.40}")
    return value


def mapping_at(value: Any, key: str) -> Mapping[str, Any]:
    """An object in an object; empty when absent."""
    found = value.get(key) if type(value) is dict else mapping(value).get(key)
    return found if type(found) is dict else mapping(found)


def list_at(value: Any, key: str) -> list[Any]:
    """A list in an object; empty when absent. Raises ValueError for anything else."""
    found = value.get(key) if type(value) is dict else mapping(value).get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{key}: expected a list, found {found!r:.40}")
    return found


def text_at(value: Any, key: str) -> str:
    """A text in an object; empty when absent. Raises ValueError for anything else."""
    found = value.get(key) if type(value) is dict else mapping(value).get(key)
    if type(found) is str:
        return found
    if found is None:
        return ""
    raise ValueError(f"{key}: expected a text, found {found!r:.40}")


def texts_at(value: Any, key: str) -> Mapping[str, str]:
    """Labels or annotations. Raises ValueError when one is no text."""
    found = mapping_at(value, key)
    for name, text in found.items():
        if type(text) is not str:
            raise ValueError(f"{key}.{name}: expected a text, found {text!r:.40}")
    return found
