"""Comments in a configuration: JSON has none, so the key `$comment` of any object is one, and `$schema` at the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from autoscale_aks.config.findings import Document

COMMENT: Final = "$comment"
"""A text, or a list of texts for several lines. It means nothing and is looked at for secrets only."""
SCHEMA: Final = "$schema"
"""At the top: where an editor finds the schema."""


def without_comments(document: Document) -> Document:
    """The document without comments. What is no text stays, and is then an unknown key."""
    if isinstance(document, dict) and isinstance(document.get(SCHEMA), str):
        document = {key: value for key, value in document.items() if key != SCHEMA}
    return _without(document)


def _without(value: Document) -> Document:
    if isinstance(value, dict):
        return {key: _without(child) for key, child in value.items() if not (key == COMMENT and _is_text(child))}
    return [_without(child) for child in value] if isinstance(value, list) else value


def _is_text(value: Document) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(line, str) for line in value))
