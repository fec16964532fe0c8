"""Furrow's own processes are killed, frozen and stopped."""

import signal

from furrow.prove.faults.base import Scene, fault
from furrow.prove.program import Program, send
from furrow.prove.stack import LEASE, TIMES

_FREEZE = (LEASE + 1.0, LEASE + 3.0)


@fault("worker")
def kill_worker(scene: Scene) -> None:
    """SIGKILL a worker and its pool processes: its machine loses power."""
    _kill(scene, scene.pick("worker"))


@fault("worker")
def kill_worker_parent(scene: Scene) -> None:
    """SIGKILL a worker's main process alone: its pool processes are orphans that still run a job."""
    worker = scene.pick("worker")
    worker.hold()
    worker.send(signal.SIGKILL)
    scene.wait(0.0, 3.0)
    worker.start()


@fault("worker")
def freeze_worker(scene: Scene) -> None:
    """SIGSTOP a worker and its pool processes for longer than its lease, then SIGCONT: a zombie comes back."""
    worker = scene.pick("worker")
    worker.send_all(signal.SIGSTOP)
    scene.wait(*_FREEZE)
    worker.send_all(signal.SIGCONT)


@fault("worker")
def freeze_worker_parent(scene: Scene) -> None:
    """SIGSTOP a worker's main process for longer than its lease, while its pool processes go on; then SIGCONT."""
    worker = scene.pick("worker")
    worker.send(signal.SIGSTOP)
    scene.wait(*_FREEZE)
    worker.send(signal.SIGCONT)


@fault("worker")
def restart_worker(scene: Scene) -> None:
    """SIGTERM a worker, as a deploy does, and start it again."""
    _restart(scene, scene.pick("worker"))


@fault("worker")
def kill_pool_process(scene: Scene) -> None:
    """SIGKILL one of a worker's pool processes: out of memory."""
    _kill_pool_process(scene, signal.SIGKILL)


@fault("worker")
def crash_pool_process(scene: Scene) -> None:
    """SIGSEGV in one of a worker's pool processes: a broken C extension."""
    _kill_pool_process(scene, signal.SIGSEGV)


@fault("dispatcher")
def kill_dispatcher(scene: Scene) -> None:
    """SIGKILL the leading dispatcher."""
    _kill(scene, scene.leader())


@fault("dispatcher")
def freeze_dispatcher(scene: Scene) -> None:
    """SIGSTOP the leading dispatcher for longer than its lease, then SIGCONT: two think that they lead."""
    leader = scene.leader()
    leader.send(signal.SIGSTOP)
    scene.wait(float(TIMES["FURROW_LEADER_LEASE"]) + 1, float(TIMES["FURROW_LEADER_LEASE"]) + 3)
    leader.send(signal.SIGCONT)


@fault("dispatcher")
def restart_dispatcher(scene: Scene) -> None:
    """SIGTERM the leading dispatcher, and start it again."""
    _restart(scene, scene.leader())


@fault("web")
def kill_web(scene: Scene) -> None:
    """SIGKILL the web process, at any point of a submit."""
    _kill(scene, scene.pick("web"))


@fault("client")
def kill_client(scene: Scene) -> None:
    """SIGKILL a submitting program, at any point of a transaction."""
    _kill(scene, scene.pick("client"))


def _kill(scene: Scene, program: Program) -> None:
    program.hold()
    program.send_all(signal.SIGKILL)
    scene.wait(0.0, 3.0)
    program.start()


def _restart(scene: Scene, program: Program) -> None:
    program.stop(seconds=20)
    scene.wait(0.0, 1.0)
    program.start()


def _kill_pool_process(scene: Scene, number: signal.Signals) -> None:
    worker = scene.dice.choice(scene.stack.of("worker"))
    if pool := sorted(worker.children(of_all=False)):
        victim = scene.dice.choice(pool)
        scene.happened.pids.add(victim)
        scene.happened.target = f"process {victim} of {worker.name}"
        send(victim, number)
