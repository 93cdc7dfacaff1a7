"""AKS: the Machine API, batch creation, and the Kubernetes node list."""
