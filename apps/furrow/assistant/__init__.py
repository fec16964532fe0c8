"""``furrow mcp``: assistants (language models) look at jobs, and act if allowed, over the Model Context Protocol.

``command`` serves standard input and output, ``http`` an address of the site; ``server`` speaks the protocol (the only module
that imports the package ``mcp``, which ``package`` looks for), ``tools`` says what a tool is and calls it. The tools are in
``reading``, ``doing``, ``flows`` (workflows) and ``planned`` (schedules, approvals): mostly the command line's functions,
which ask for permissions and write the audit log; ``told`` takes their JSON. ``answers`` bounds what a tool answers and marks
what jobs wrote as data.
"""
