"""The proof: a fault campaign against a private copy of the stack, judged by evidence that the engine does not write.

``kinds``       the handlers of the campaign; each tells ``records`` (files) when it begins and how it ends.
``load``        the program that submits, in every way there is; ``web`` the same behind an HTTP door.
``bridged``, ``listener``, ``sink``  programs outside: what fills the bridge's queue, who hears of events, who gets webhooks;
``outsiders``   makes them known.
``audit``       triggers in the private database that note every move of a job; ``database`` asks questions about them.
``proxy``       the network: between each process and each server, where it can be cut.
``stack``       servers, proxies and processes together; ``program`` is one of these processes.
``faults/``     what can go wrong, a function each; ``schedule`` draws from them by the seed.
``campaign``    load, faults, healing, draining: the course of a run.
``graphs``, ``ticked``  workflows and schedules as rows, which ``flows`` and ``punctual`` judge.
``evidence``    all that was written down, as plain data, ``overheard`` that of events; ``checks`` judges it, purely.
``story``       all that is known of one job; ``report`` and ``page`` show the verdict.
"""
