"""Every example runs, prints what docs/api.md says, and stands there verbatim."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples" / "api").glob("*.py"))
DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SHOWN = {
    name: (code, printed)
    for name, code, printed in re.findall(
        r"`examples/api/(\S+\.py)`\n\n```python\n(.*?)```\n\n```text\n(.*?)```\n", DOCUMENT, re.DOTALL
    )
}
"""File name → (code, what it prints), as the document has them."""


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_prints_what_the_document_says(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out == SHOWN[path.name][1]


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_the_document_has_the_example_verbatim(path: Path) -> None:
    assert SHOWN[path.name][0] == path.read_text(encoding="utf-8")


def test_the_document_has_every_example_in_order() -> None:
    assert list(SHOWN) == [path.name for path in EXAMPLES]
