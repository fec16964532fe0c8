"""What can go wrong while the stack is brought up; each message says what to do."""


class DeployError(RuntimeError):
    """Base of the errors of this package; the command line prints the message and exits with 1."""


class NoFreePort(DeployError):
    """The port that was asked for, or every port of a range, is taken."""


class PortTaken(DeployError):
    """Another program took a port after it had been chosen; with other ports it may go."""


class PackagesMissing(DeployError):
    """Packages are missing and could not be installed; the message says what to type."""


class ServiceFailed(DeployError):
    """A private server did not come up; the message ends with the last lines of its log."""


class StackFailed(DeployError):
    """A setting is wrong, or a process of the stack did not come up; the message ends with its last lines."""
