"""`pellucid check`: the gradients of a trained model, compared with differences of its loss."""

from __future__ import annotations

import json

from pellucid.check.gradients import check_gradients
from pellucid.commands.again import samples
from pellucid.commands.folder import opened
from pellucid.commands.options import Settings
from pellucid.commands.rows import needed


def run(given: Settings) -> int:
    """Check, print the report; return 1 where a slope is wrong."""
    trained = opened(needed(given, "run"))
    found = samples(trained, given)
    found.tell()
    report = check_gradients(trained.model, *found.some(given.rows))
    print(json.dumps(report.to_json(), ensure_ascii=False) if given.json else report)
    return 0 if report.ok else 1
