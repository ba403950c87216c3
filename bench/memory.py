"""Peak memory of this process since some moment."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


class Since:
    """What is in memory now, to be compared with the peak later.

    On Linux the peak is first set back to what is in memory now, since importing a library takes
    more for a moment than it keeps. Elsewhere it is ru_maxrss against ru_maxrss.
    """

    def __init__(self) -> None:
        try:
            RESET.write_text("5")
            self.before, self.exact = _status("VmRSS"), True
        except (OSError, KeyError):
            self.before, self.exact = _most(), False

    def peak(self) -> dict[str, int]:
        """Return bytes: in memory before, the peak, and how far it rose."""
        most = _status("VmHWM") if self.exact else _most()
        return {"before": self.before, "peak": most, "rise": most - self.before}


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def _status(name: str) -> int:
    lines = STATUS.read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields[name].split()[0]) * 1024
