"""`azaks remove`: beside `join`, whose module has both."""

from autoscale_aks.cli.join import remove as command

__all__ = ["command"]
