"""`autoscale.json` to a `Config`, or every problem at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from autoscale_aks.config.building import build_config
from autoscale_aks.config.checks import check_document
from autoscale_aks.config.comments import without_comments
from autoscale_aks.config.findings import Finding
from autoscale_aks.config.leaving_out import leave_out
from autoscale_aks.config.locating import problems_of
from autoscale_aks.config.reading import read_document, read_file
from autoscale_aks.config.schema import nodearray_keys, schema_findings
from autoscale_aks.config.secrecy import find_secrets
from autoscale_aks.config.values import LeftOut
from autoscale_aks.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from autoscale_aks.config.findings import Document, Path
    from autoscale_aks.config.values import Config

MOST_PROBLEMS: Final = 1000
"""A file with more problems than this is not a configuration; the rest is not listed."""


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read a configuration file. Raises ConfigError with every problem in it, or saying why it cannot be read."""
    return parse_config(read_file(path), str(path))


def load_usable(path: str | os.PathLike[str]) -> Config:
    """As `load_config`, but what is wrong in one bucket or one node array leaves out only that (user ask T29c).

    `Config.left_out` then tells of it. Raises ConfigError for every other mistake.
    """
    return parse_usable(read_file(path), str(path))


def parse_config(text: str, source: str = "autoscale.json") -> Config:
    """Read a configuration from text; `source` names it in messages, and its directory is where paths start.

    Raises ConfigError with every problem at once, each with its path and line, in the order of the file.
    """
    return build_config(checked_document(text, source), source)


def checked_document(text: str, source: str) -> Document:
    """The document of a configuration, without comments. Raises ConfigError as `parse_config` does."""
    document, findings, _ = _read(text, source)
    if findings:
        raise ConfigError(problems_of(findings, text))
    return document


def parse_usable(text: str, source: str = "autoscale.json") -> Config:
    """As `parse_config`, with `load_usable`'s leniency."""
    document, findings, secrets = _read(text, source)
    if not findings:
        return build_config(document, source)
    problems = problems_of(findings, text)
    reduced = None if secrets else leave_out(document, findings, nodearray_keys())
    if reduced is None or not reduced.agrees_with(_findings(reduced.document, [])):
        raise ConfigError(problems)
    left_out = LeftOut(problems=tuple(problems), nodearrays=reduced.nodearrays, of_buckets=reduced.of_buckets)
    return replace(build_config(reduced.document, source), left_out=left_out)


def _read(text: str, source: str) -> tuple[Document, list[Finding], list[Finding]]:
    """The document without its comments, everything wrong with it, and which of that are secrets."""
    raw, first = read_document(text, source)
    secrets = list(find_secrets(raw))
    document = without_comments(raw)
    findings = _findings(document, [*first, *secrets])
    return document, (_kept(findings, secrets) if findings else []), secrets


def _findings(document: Document, first: list[Finding]) -> list[Finding]:
    """Everything wrong with a document, `first` being known already."""
    findings = [*first, *islice(schema_findings(document), MOST_PROBLEMS + 1)]
    nodearrays = document.get("nodearrays") if isinstance(document, dict) else None
    names = list(nodearrays) if isinstance(nodearrays, dict) else []
    pruned = _pruned(document, {finding.path for finding in findings if not finding.on_name})
    if isinstance(pruned, dict):
        faulty = {finding.path for finding in findings}
        checks = (finding for finding in check_document(pruned, names) if faulty.isdisjoint(finding.about))
        findings += islice(checks, MOST_PROBLEMS)
    return findings


def _kept(findings: Iterable[Finding], secrets: list[Finding]) -> list[Finding]:
    """One finding for each value and each name, the first; nothing else of what is or holds a secret."""
    hidden = {finding.path for finding in secrets}
    kept: dict[tuple[Path, bool], Finding] = {(finding.path, False): finding for finding in secrets}
    for finding in findings:
        if not any(finding.path[:length] in hidden for length in range(len(finding.path) + 1)):
            kept.setdefault((finding.path, finding.on_name), finding)
    if len(kept) <= MOST_PROBLEMS:
        return list(kept.values())
    rest = Finding((), f"there are more than {MOST_PROBLEMS} problems; the rest is not listed")
    return [*islice(kept.values(), MOST_PROBLEMS), rest]


def _pruned(value: Document, faulty: set[Path], path: Path = ()) -> Any:
    """The document without the values something was found against; None takes their place in lists."""
    if path in faulty:
        return None
    if isinstance(value, dict):
        return {key: _pruned(child, faulty, (*path, key)) for key, child in value.items() if (*path, key) not in faulty}
    if isinstance(value, list):
        return [_pruned(child, faulty, (*path, index)) for index, child in enumerate(value)]
    return value
