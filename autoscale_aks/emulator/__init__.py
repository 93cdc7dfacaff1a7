"""An AKS Machine API over real HTTP on loopback: what the cloud would answer, without a cloud.

It reads the wire on its own and shares no code with the client it is there to test. Section
numbers in the docstrings of this package (§4.3, §10.6 …) are those of the written contract of
the service; `docs/emulator.md` lists every switch with the section it stands for.

Import `autoscale_aks.emulator.server` (needs the extra `emulator`); importing this package alone
loads nothing.
"""
