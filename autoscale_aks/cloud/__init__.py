"""The cloud side: a port with stated assumptions, and AKS behind it."""
