"""The network between a process and a server, or between everybody and a server, is cut."""
