"""What surrounds AKS in Azure: VM sizes, quota, prices, subnets. Read only; nothing here is ever an error."""
