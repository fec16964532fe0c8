"""Missing programs, from Debian's packages.

A package that holds a server would start it system-wide on its default port. While packages are installed here, a
`policy-rc.d` says no to that; if the machine has one already, that one decides.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.errors import PackagesMissing

_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")

# One shell, so that its trap removes the policy whatever happens to the command that asked.
_INSTALL = r"""
set -e
policy=/usr/sbin/policy-rc.d
remove() { if grep -qs '^# temporary: furrow' "$policy"; then rm -f "$policy"; fi; }
exec 9>/run/furrow-packages.lock
flock 9
trap remove EXIT
trap 'exit 130' INT TERM HUP
remove
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\n# temporary: furrow\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
get() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" 9>&-; }
get install --no-install-recommends "$@" || { get update && get install --no-install-recommends "$@"; }
"""


def find(*programs: str) -> Path | None:
    """The first of these programs that is installed, also outside of PATH."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SEARCHED))
    for program in programs:
        found = shutil.which(program, path=path)
        if found:
            return Path(found)
    return None


def ensure(programs: Mapping[str, str]) -> None:
    """Install the packages whose program is missing, given as {package: program}. Fails as `install` does."""
    install([package for package, program in programs.items() if find(program) is None])


def missing(packages: Sequence[str]) -> list[str]:
    """Those of these Debian packages that are not installed."""
    query = find("dpkg-query")
    return [package for package in packages if query is None or not _is_installed(query, package)]


def install(packages: Sequence[str]) -> None:
    """Install Debian packages, as root or through a sudo that asks for no password.

    Raises PackagesMissing when that is not possible here, or when apt-get failed (with its last lines).
    """
    if not packages:
        return
    names = " ".join(packages)
    manual = f"sudo apt-get install --no-install-recommends {shlex.join(packages)}"
    if find("apt-get") is None:
        raise PackagesMissing(f"Missing: {names}, and this is no Debian system. Install it in your system's way.")
    prefix = _as_root()
    if prefix is None:
        raise PackagesMissing(f"Missing: {names}, and installing it needs root. Type:\n    {manual}")
    print(f"Installing {names} with apt-get (this may take a minute) ...", flush=True)
    done = subprocess.run(
        [*prefix, "/bin/sh", "-c", _INSTALL, "sh", *packages],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-15:])
        raise PackagesMissing(f"apt-get could not install {names}:\n{last}\nTo try by hand:\n    {manual}")


def _is_installed(query: Path, package: str) -> bool:
    asked = subprocess.run([query, "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True)
    return asked.stdout == "installed"


def _as_root() -> list[str] | None:
    """What to put before a command so that it runs as root; None if that would need a password."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None
