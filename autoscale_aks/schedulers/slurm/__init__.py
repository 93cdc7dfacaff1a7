"""Slurm: squeue and scontrol to jobs and nodes, and the few commands that open, close and forget nodes."""
