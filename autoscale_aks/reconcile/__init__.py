"""One cycle: observe → plan → apply → record. A dry run stops after plan."""

from autoscale_aks.reconcile.cycle import CycleReport, observe_and_plan, run_cycle
from autoscale_aks.reconcile.failover import Progress
from autoscale_aks.reconcile.observation import Observation
from autoscale_aks.reconcile.world import World

__all__ = ["CycleReport", "Observation", "Progress", "World", "observe_and_plan", "run_cycle"]
