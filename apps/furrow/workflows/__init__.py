"""Workflows: jobs that wait for each other.

``builder``     a graph of nodes, checked (``checks``) and submitted whole; ``handles`` are its nodes in hand, ``jobs`` the
                columns of their jobs.
``current``     the workflow that a running job belongs to, to which it may add; ``batches`` are added to from anywhere.
``references``  arguments that are results of other nodes; ``results`` are those of many jobs, read as they are asked for.
``advance``     what follows from the ends of jobs: nodes are let go, skipped, taken up again; ``ends`` of workflows, and
                the events of these (``telling``). ``moves`` ask for another look.
``acts``        what people do: cancel, pause, resume, restart; ``forking`` repeats a workflow from a node on. ``people`` may
                do so by permission, and are written down; ``stopping`` is what a cancel comes to.
``pausing``     nodes that wait for a signal, or for a time.
``waiting``     for the end of a workflow; ``deleting`` one.
``calls``       jobs that a handler calls from a step, and waits for.
"""
