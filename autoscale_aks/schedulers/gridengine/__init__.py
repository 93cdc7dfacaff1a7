"""Grid Engine (SGE and its kin), read with qstat, qhost and qconf, written with qconf and qmod."""
