"""What can go wrong: one function a fault, registered by its name, which ``--faults`` and the report use.

A fault does its harm, waits, and undoes what does not undo itself (a program that died is started again by the stack, as a
supervisor would). It says on its :class:`Scene` which processes and servers it hits: only that may explain a second run.
"""

from furrow.prove.faults import bridges, disasters, external, network, poison, processes, scarcity, servers
from furrow.prove.faults.base import FAULTS, Fault, Scene

__all__ = [
    "FAULTS",
    "Fault",
    "Scene",
    "bridges",
    "disasters",
    "external",
    "network",
    "poison",
    "processes",
    "scarcity",
    "servers",
]
