"""Python's cycle collector, held back while a plan is made.

A plan makes hundreds of thousands of values that all live until it is done and hardly any cycle; the collector would
walk through them again and again. It is the program's business, not the planner's: the pure rooms do not know of it.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def paused_collector() -> Iterator[None]:
    """No collection of cycles inside; as it was before, afterwards."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
