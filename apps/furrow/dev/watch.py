"""Code that changes below a folder."""

import threading
from pathlib import Path
from typing import Any

#: Files whose change counts, and folders in which none does, besides hidden ones.
SUFFIXES = (".py", ".html")
PASSED_OVER = {"__pycache__", "node_modules", "site-packages"}


class Watch(threading.Thread):
    """Collects the changed files, and sets ``wake`` at each change."""

    def __init__(self, folder: Path, wake: threading.Event) -> None:
        super().__init__(name="furrow-watch", daemon=True)
        self._folder, self._wake = folder.resolve(), wake
        self._mutex = threading.Lock()
        self._changed: set[Path] = set()

    def run(self) -> None:
        """Until the process ends."""
        from watchfiles import watch

        for changes in watch(self._folder, watch_filter=self._counts, debounce=300, raise_interrupt=False):
            with self._mutex:
                self._changed |= {Path(path).relative_to(self._folder) for _, path in changes}
            self._wake.set()

    def take(self) -> list[Path]:
        """What changed since this was last asked, below the folder."""
        with self._mutex:
            changed, self._changed = sorted(self._changed), set()
        return changed

    def _counts(self, change: Any, path: str) -> bool:
        below = Path(path).relative_to(self._folder)
        return below.suffix in SUFFIXES and not any(part in PASSED_OVER or part.startswith(".") for part in below.parts)
