"""A hook of mkdocs: files of the project that pages link to are copied into the site, and links lead to the copies."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)\)")
ROOT = Path(__file__).parents[1]


def outside(page: str, target: str) -> str | None:
    """The path from the top of the project to what a page links to outside `docs`; None when it is inside."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
    return None if path.startswith("docs/") else path


def copied(path: str) -> str:
    """Where a file of the project stands in the site; Markdown as text, because it is no page of it."""
    return f"project/{path}.txt" if path.endswith(".md") else f"project/{path}"


def on_files(files: Files, config: Any) -> Files:
    """Every linked file of the project, under `project/`; a link that leads nowhere stays, and the build says so."""
    wanted: set[str] = set()
    for page in files.documentation_pages():
        text = Path(page.abs_src_path or "").read_text(encoding="utf-8")
        wanted.update(path for target in LINK.findall(text) if (path := outside(page.src_uri, target)))
    for path in sorted(wanted):
        if (ROOT / path).is_file():
            files.append(File.generated(config, copied(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to those files, as they stand in the site."""

    def rewritten(match: re.Match[str]) -> str:
        path = outside(page.file.src_uri, match[1])
        if path is None or not (ROOT / path).is_file():
            return match[0]
        return f"]({posixpath.relpath(copied(path), posixpath.dirname(page.file.src_uri) or '.')})"

    return LINK.sub(rewritten, markdown)
