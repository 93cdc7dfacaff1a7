"""OpenPBS, read with qstat, pbsnodes and qmgr, written with pbsnodes and qmgr."""
