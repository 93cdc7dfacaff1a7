"""What people do by hand, with the loop's own code: its locks, its ledger, its close → look → delete (T20c)."""

from autoscale_aks.reconcile.acts.acting import Act, acting
from autoscale_aks.reconcile.acts.choosing import Choice, choose
from autoscale_aks.reconcile.acts.creating import CreateOrder, create, plan_create
from autoscale_aks.reconcile.acts.leaving import Leaving, drain_now, leave, plan_leaving
from autoscale_aks.reconcile.acts.membership import join_nodes, remove_nodes
from autoscale_aks.reconcile.acts.retrying import Retry, forget_failures

__all__ = [
    "Act",
    "Choice",
    "CreateOrder",
    "Leaving",
    "Retry",
    "acting",
    "choose",
    "create",
    "drain_now",
    "forget_failures",
    "join_nodes",
    "leave",
    "plan_create",
    "plan_leaving",
    "remove_nodes",
]
