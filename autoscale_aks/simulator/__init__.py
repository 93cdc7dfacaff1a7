"""A workload replayed in virtual time through the real cycle, on the emulator (user ask T26).

The simulator owns no policy: what is made and let go is decided by `reconcile.run_cycle`, over HTTP, with a ledger;
which job fits on which node by the planner's own matching. What is its own is a clock that stands still between
events, a queue of events, a batch system that starts whatever fits in the order of arrival, and the books.
"""

from autoscale_aks.simulator.replay import Stage, simulate
from autoscale_aks.simulator.workload import Workload, WorkloadJob, read_workload

__all__ = ["Stage", "Workload", "WorkloadJob", "read_workload", "simulate"]
