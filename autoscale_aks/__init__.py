"""A scheduler autoscaler plugin for Azure Kubernetes Service. Importing it costs nothing."""

__version__ = "0.1.0"
