"""Running cycles: one writer at a time, once or at an interval, stopping only between requests.

::

    signals ─► Gate ◄─ deadline, a lock that was lost         locks + heart ─► one writer
                │                                               │
    waiter ─► Resident ─► run_cycle(world) ─► one line          └─ lock beside the ledger, lease in Kubernetes
"""

from autoscale_aks.loop.cycles import run_until
from autoscale_aks.loop.locks import Heart, LockPort, holding
from autoscale_aks.loop.resident import Resident, Station
from autoscale_aks.loop.signals import Signals
from autoscale_aks.loop.waiting import SocketWaiter, Waiter, Wake, WakeSocket

__all__ = [
    "Heart",
    "LockPort",
    "Resident",
    "Signals",
    "SocketWaiter",
    "Station",
    "Waiter",
    "Wake",
    "WakeSocket",
    "holding",
    "run_until",
]
