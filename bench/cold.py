"""The whole small job, in a process of its own: `python -m bench.cold CONTESTANT EPOCHS`."""

from __future__ import annotations

import importlib
import os
import sys

from bench.contestants import contestant
from bench.jobs import SMALL, data, initial, loss


def main(name: str, epochs: int) -> int:
    """Import, and train from the weights all start from; return 1 where nothing was learned."""
    if name == "auto":
        make = importlib.import_module("bench.contestants.ours").Unasked
    else:
        make = contestant(name)
    X, y = data(SMALL)
    one = make(SMALL, X, y, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    start = initial(SMALL)
    one.start_over(start)
    one.train(epochs)
    return int(not loss(SMALL, one.weights(), X, y) < loss(SMALL, start, X, y))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
