"""Kubernetes as the scheduler: pods that the cluster's own kube-scheduler cannot place, and the cluster's nodes."""
