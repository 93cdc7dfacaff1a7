"""Label selectors over pods, and node requirements as constraints.

| Kubernetes | constraint |
| --- | --- |
| `KEY In [a, b]`, `nodeSelector` | `{"label.KEY": ["a", "b"]}` |
| `NotIn` | `{"not": …}`: holds without the label, as in Kubernetes |
| `Exists`, `DoesNotExist` | `{"not": {"label.KEY": null}}`, `{"label.KEY": null}` |
| `Gt 5`, `Lt 5` | `{"not": {"not": {"label_number.KEY": 6}}}`: an amount there, not taken; `Lt` the reverse |
| zone, region, instance type, arch, pool, Spot | the node's own properties, see `labels` |
| several terms | `or`: any holds |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from autoscale_aks.model.node_labels import label_resource, number_resource, whole_number
from autoscale_aks.schedulers.kubernetes.objects import list_at, mapping, mapping_at, text_at, texts_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from autoscale_aks.schedulers.kubernetes.labels import LabelWords

Json: TypeAlias = dict[str, Any]
HOLDS: Final[Json] = {"and": []}


class Unsaid(ValueError):  # noqa: N818 - not an error of the program: a thing our language has no words for
    """Something a pod asks that cannot be said as a constraint; the text says what."""


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector picks an object with these labels. Empty picks all. Raises ValueError."""
    wanted = texts_at(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression_holds(item, labels) for item in list_at(selector, "matchExpressions"))


def check_selector(selector: Mapping[str, Any]) -> None:
    """Raises ValueError when a label selector cannot be judged, whatever labels it will meet."""
    texts_at(selector, "matchLabels")
    for item in list_at(selector, "matchExpressions"):
        text_at(item, "key")
        list_at(item, "values")
        if text_at(item, "operator") not in {"In", "NotIn", "Exists", "DoesNotExist"}:
            raise ValueError(f"unknown operator {text_at(item, 'operator')[:40]!r} in a label selector")


def picks_node(spec: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    """Whether a pod's node selector and required node affinity pick a live node. Raises ValueError."""
    if any(labels.get(key) != value for key, value in texts_at(spec, "nodeSelector").items()):
        return False
    affinity = mapping_at(mapping_at(spec, "affinity"), "nodeAffinity")
    required = mapping_at(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(
        all(_expression_holds(item, labels) for item in list_at(term, "matchExpressions"))
        and all(_expression_holds(item, {"metadata.name": name}) for item in list_at(term, "matchFields"))
        for term in list_at(required, "nodeSelectorTerms")
        if list_at(term, "matchExpressions") or list_at(term, "matchFields")
    )


def _expression_holds(item: Any, labels: Mapping[str, str]) -> bool:
    key, operator, values = text_at(item, "key"), text_at(item, "operator"), list_at(item, "values")
    if operator in {"Gt", "Lt"} and len(values) == 1:
        actual, bound = whole_number(labels.get(key, "")), whole_number(str(values[0]))
        if actual is None or bound is None:
            return False
        return actual > bound if operator == "Gt" else actual < bound
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise ValueError(f"unknown operator {operator[:40]!r}")


def node_constraints(spec: Mapping[str, Any], words: LabelWords) -> list[Json]:
    """`nodeSelector` and required node affinity. Raises ValueError, Unsaid where a word is missing."""
    found = [words.among(key, [value]) for key, value in texts_at(spec, "nodeSelector").items()]
    affinity = mapping_at(mapping_at(spec, "affinity"), "nodeAffinity")
    required = mapping_at(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
    if required:
        found.append(term_constraints(list_at(required, "nodeSelectorTerms"), words))
    return [constraint for constraint in found if constraint != HOLDS]


def term_constraints(terms: Sequence[Any], words: LabelWords) -> Json:
    """Node selector terms: any of them holds; one without requirements picks nothing."""
    alternatives = [conjunction for term in terms if (conjunction := _term(term, words)) is not None]
    if not alternatives:
        return {"never": "its node affinity picks no node"}
    return alternatives[0] if len(alternatives) == 1 else {"or": alternatives}


def _term(term: Any, words: LabelWords) -> Json | None:
    expressions, fields = list_at(term, "matchExpressions"), list_at(term, "matchFields")
    if not expressions and not fields:
        return None
    parts = [_requirement(item, words) for item in expressions]
    parts.extend(_field(item) for item in fields)
    return both(parts)


def _requirement(item: Any, words: LabelWords) -> Json:
    key, operator = text_at(item, "key"), text_at(item, "operator")
    values = [value for value in list_at(item, "values") if isinstance(value, str)]
    if operator == "In":
        return words.among(key, values)
    if operator == "NotIn":
        return {"not": words.among(key, values)}
    if operator == "Exists":
        return words.exists(key)
    if operator == "DoesNotExist":
        return {"not": words.exists(key)}
    if operator in {"Gt", "Lt"} and len(values) == 1:
        return _compared(key, operator, values[0], words)
    raise ValueError(f"unknown operator {operator[:40]!r} on the label {key[:60]!r}")


def _compared(key: str, operator: str, value: str, words: LabelWords) -> Json:
    bound = whole_number(value)
    if bound is None:
        raise ValueError(f"{operator} {value[:40]!r} on the label {key[:60]!r}: no whole number, 0 or more")
    words.note(key)
    least = bound + 1 if operator == "Gt" else bound
    has = {"not": {"not": {number_resource(key): least}}}
    return has if operator == "Gt" else {"and": [{"not": {label_resource(key): None}}, {"not": has}]}


def _field(item: Any) -> Json:
    key, operator = text_at(item, "key"), text_at(item, "operator")
    names = [value for value in list_at(item, "values") if isinstance(value, str)]
    if key != "metadata.name" or operator not in {"In", "NotIn"}:
        raise Unsaid(f"matchFields on {key[:60]}")
    named = {"node.hostname": names}
    return named if operator == "In" else {"not": named}


def both(parts: Sequence[Json]) -> Json:
    """All of them, without an `and` around one."""
    kept = [part for part in parts if part != HOLDS]
    return kept[0] if len(kept) == 1 else {"and": kept}


def namespaces_of(term: Mapping[str, Any], own: str) -> frozenset[str] | None:
    """The namespaces an affinity term looks at; None: all. Raises Unsaid for a selector over their labels."""
    selector = term.get("namespaceSelector")
    if selector is not None:
        if mapping(selector):
            raise Unsaid("namespaceSelector with labels")
        return None
    names = [name for name in list_at(term, "namespaces") if isinstance(name, str)]
    return frozenset(names or [own])
