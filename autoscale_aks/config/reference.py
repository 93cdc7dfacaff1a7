"""The configuration's reference page, from the schema: every key with its meaning, its values and its default."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.schema import schema_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_Schema = dict[str, Any]
_HEAD: Final = """\
# Configuration reference

Every key of `autoscale.json`. This page is made from the schema that the program itself checks with
(`make reference`); [conf/README.md]({source}/conf/README.md) explains how the keys work together. Times are in
seconds. A key that is not here is an error, with a guess at what was meant.
"""
_KINDS: Final = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}
SOURCE: Final = ".."
"""From the page to the top of the project."""


def render_reference() -> str:
    """The page in Markdown, with a line feed at its end."""
    schema: _Schema = json.loads(schema_text())
    lines = [_HEAD.format(source=SOURCE)]
    for title, node in _sections(schema, schema["$defs"], ""):
        lines.append(f"## {title}\n")
        lines.extend(_table(node, schema["$defs"]))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _sections(node: _Schema, defs: Mapping[str, _Schema], path: str) -> Iterator[tuple[str, _Schema]]:
    """Every object with keys of its own, the outer one before what stands in it."""
    yield (f"`{path}`" if path else "At the top level"), node
    for name, child in node["properties"].items():
        where = f"{path}.{name}" if path else name
        inner = _resolved(child, defs)
        if _is_section(inner):
            yield from _sections(inner, defs, where)
        for mark, key in ((".NAME", "additionalProperties"), ("[]", "items")):
            within = _resolved(inner.get(key, {}), defs) if isinstance(inner.get(key), dict) else {}
            if _is_section(within):
                yield from _sections(within, defs, f"{where}{mark}")
            deeper = within.get("additionalProperties")
            if isinstance(deeper, dict) and _is_section(_resolved(deeper, defs)):
                yield from _sections(_resolved(deeper, defs), defs, f"{where}{mark}.NAME")


def _is_section(node: Mapping[str, Any]) -> bool:
    kinds = node.get("type", ())
    return "properties" in node and "object" in ([kinds] if isinstance(kinds, str) else kinds)


def _resolved(node: Mapping[str, Any], defs: Mapping[str, _Schema]) -> _Schema:
    """A node with what its `$ref` says under its own words."""
    name = str(node.get("$ref", "")).rpartition("/")[2]
    return {**_resolved(defs[name], defs), **node} if name else dict(node)


def _table(node: _Schema, defs: Mapping[str, _Schema]) -> Iterator[str]:
    yield "| key | values | default | meaning |"
    yield "|---|---|---|---|"
    required = node.get("required", ())
    for name, child in node["properties"].items():
        inner = _resolved(child, defs)
        default = "**required**" if name in required else _default(inner)
        yield f"| `{name}` | {_cell(_values(inner))} | {default} | {_cell(inner.get('description', ''))} |"


def _default(node: Mapping[str, Any]) -> str:
    return f"`{json.dumps(node['default'])}`" if "default" in node else ""


def _values(node: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    if "x-expected" in node:
        return str(node["x-expected"])
    kinds = node.get("type", [])
    named = " or ".join(_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    bounds = _bounds(node)
    return f"{named}, {bounds}" if named and bounds else named or bounds


def _bounds(node: Mapping[str, Any]) -> str:
    least, most = node.get("minimum"), node.get("maximum")
    if least is not None and most is not None:
        return f"{least:,} to {most:,}"
    above = node.get("exclusiveMinimum")
    if above is not None:
        return f"above {above:,}" + (f", at most {most:,}" if most is not None else "")
    return f"at least {least:,}" if least is not None else f"at most {most:,}" if most is not None else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
