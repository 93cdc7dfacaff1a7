"""What the client takes from the world besides HTTP: the time, sleeping, randomness and request ids.

They are arguments, so that a test or the simulator can turn them; nothing is read when this is imported.
"""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """`now` is in seconds since the epoch; `random` is in [0, 1) and only makes jitter."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    new_id: Callable[[], str] = _new_id


def jittered(delay_s: float, effects: Effects) -> float:
    """A delay made longer by up to 10 % (batching.md B8)."""
    return delay_s * (1.0 + 0.1 * effects.random())
