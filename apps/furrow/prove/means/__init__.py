"""What some faults need of the machine: clocks that can be set, disks that can be filled, a bound on processes.

Where one of them is not there, its faults are left out by name.
"""

from collections.abc import Callable

from furrow.prove.means import clock, disk, pids

__all__ = ["LACKING", "clock", "disk", "pids"]

#: By name: why it cannot be had here, with the remedy; empty: it can.
LACKING: dict[str, Callable[[], str]] = {"clock": clock.lacking, "disk": disk.lacking, "pids": pids.lacking}
