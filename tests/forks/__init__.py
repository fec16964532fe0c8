"""Python processes without the second that their imports take: forks of a process that has the libraries loaded.

    fork(["python", "manage.py", "migrate"], env=env, cwd=ROOT, log=file)    # None: it has to be started in the ordinary way
    run(["python", "manage.py", "check"], env=env, cwd=ROOT)                 # to its end, in whichever way

Of the product's own code nothing is loaded before the fork, and no setting is read. The process is a session of its own, with
the command's arguments, environment, folder and output, and ends as an interpreter does, but for taking its modules apart.
"""

from tests.forks.client import Fork, fork, run

__all__ = ["Fork", "fork", "run"]
