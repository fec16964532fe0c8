"""The process of bridges is killed, frozen and stopped, while messages flow."""

import signal

from furrow.prove.faults.base import Scene, fault


@fault("bridge")
def kill_bridge(scene: Scene) -> None:
    """SIGKILL a process of bridges, at any point between a message and its acknowledgement."""
    bridge = scene.pick("bridge")
    bridge.hold()
    bridge.send_all(signal.SIGKILL)
    scene.wait(0.0, 3.0)
    bridge.start()


@fault("bridge")
def freeze_bridge(scene: Scene) -> None:
    """SIGSTOP a process of bridges, then SIGCONT."""
    bridge = scene.pick("bridge")
    bridge.send_all(signal.SIGSTOP)
    scene.wait(1.0, 8.0)
    bridge.send_all(signal.SIGCONT)
