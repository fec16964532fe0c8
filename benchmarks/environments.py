"""Virtual environments of the peers that the repository itself does not need."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def make(folder: Path) -> Callable[[tuple[str, ...]], str]:
    """Returns what makes an interpreter with these pinned packages, once; kept in the folder."""

    def with_packages(packages: tuple[str, ...]) -> str:
        key = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
        home = folder / "venv" / key
        python = home / "bin" / "python"
        if not (home / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            subprocess.run([*pip, *packages], check=True)
            (home / "complete").touch()
        return str(python)

    return with_packages
