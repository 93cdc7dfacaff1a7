"""`autoscale.schema.json`: the shape of the configuration, and everything in a document that is not of that shape."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.fitting import surely_fits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autoscale_aks.config.findings import Document, Finding

SCHEMA_NAME: Final = "autoscale.schema.json"


def schema_text() -> str:
    """The schema as it is published: JSON Schema 2020-12, every property with its meaning and unit."""
    return resources.files(__package__).joinpath(SCHEMA_NAME).read_text(encoding="utf-8")


@cache
def schema_document() -> dict[str, Any]:
    """The schema as a document; not to be changed."""
    document: dict[str, Any] = json.loads(schema_text())
    return document


def nodearray_keys() -> frozenset[str]:
    """The keys that a node array may have."""
    return frozenset(schema_document()["$defs"]["nodearray"]["properties"])


def schema_findings(document: Document) -> Iterator[Finding]:
    """What in the document is not of the schema's shape, each finding once, lazily."""
    if surely_fits(schema_document(), document):
        return
    from autoscale_aks.config.explaining import explain  # noqa: PLC0415  most files have no mistake
    from autoscale_aks.config.validating import validator  # noqa: PLC0415

    seen: set[Finding] = set()
    for error in validator().iter_errors(document):
        for finding in explain(error):
            if finding not in seen:
                seen.add(finding)
                yield finding
