"""Install the other libraries, one at a time: one that cannot be had here is left out.

They are those of the extra `bench` in pyproject.toml.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib

from bench.environment import ROOT

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]


def main() -> int:
    """Return how many could not be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    missing = 0
    for peer in project["optional-dependencies"]["bench"]:
        print(f"Installing {peer}", flush=True)
        done = subprocess.run([*PIP, "install", "--retries", "1", peer], check=False)
        if done.returncode:
            missing += 1
            print(f"{peer} cannot be installed here: the benchmarks leave it out", flush=True)
    return missing


if __name__ == "__main__":
    sys.exit(main())
