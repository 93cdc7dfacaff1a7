"""Who could run where: the constraint language, default resources, and candidates. Pure."""
