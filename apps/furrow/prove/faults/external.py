"""A worker in another language is killed and frozen."""

import signal

from furrow.prove.faults.base import Scene, fault
from furrow.prove.stack import LEASE


@fault("external")
def kill_external_worker(scene: Scene) -> None:
    """SIGKILL a worker in another language, at any point of its runs."""
    worker = scene.pick("external")
    worker.hold()
    worker.send_all(signal.SIGKILL)
    scene.wait(0.0, 3.0)
    worker.start()


@fault("external")
def freeze_external_worker(scene: Scene) -> None:
    """SIGSTOP a worker in another language for longer than its lease, then SIGCONT: what it tells then is of lost runs."""
    worker = scene.pick("external")
    worker.send_all(signal.SIGSTOP)
    scene.wait(LEASE + 1.0, LEASE + 3.0)
    worker.send_all(signal.SIGCONT)
