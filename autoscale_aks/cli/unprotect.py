"""`azaks unprotect`: beside `protect`, whose module has both."""

from autoscale_aks.cli.protect import unprotect as command

__all__ = ["command"]
