"""What to do: jobs to classes, classes to nodes, nodes to chunks. Pure; `planner.plan` is the one entry."""
