"""`pellucid doctor`: what is wrong with a table, or with how it is learned from."""

from __future__ import annotations

import json

from pellucid.check.doctor import diagnose
from pellucid.check.doctor.frame import read, usual
from pellucid.commands.options import Settings
from pellucid.commands.rows import needed


def run(given: Settings) -> None:
    """Examine a table with a model that suits it; print the report."""
    file, target = needed(given, "file"), needed(given, "target")
    found = read(file, target)
    model = usual(found, list(given.hidden), given.activation, given.learning_rate, given.seed)
    report = diagnose(
        model, found.X, found.y, epochs=given.epochs, batch_size=given.batch_size,
        budget_seconds=given.seconds,
    )  # fmt: skip
    print(json.dumps(report.to_json(), ensure_ascii=False) if given.json else report)
