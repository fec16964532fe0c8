"""The local stack: private services, supervised processes and the commands `up`, `down`, `status`, `logs` and `demo`.

Read in this order: `stack` is the table of contents of `up` and `down`; `environment` decides what every process is
told; `services/` holds one private server a file; `supervisor` runs the processes; `packages` fetches missing
binaries; `processes` and `ports` are what they all stand on.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: where `manage.py` lies."""
