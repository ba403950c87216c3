"""`pellucid doctor`: what is wrong with a table, or with how it is learned from."""

from __future__ import annotations

import json
import sys

from pellucid.check.doctor import diagnose
from pellucid.commands.building import model_of
from pellucid.commands.catalog import TRAIN
from pellucid.commands.options import Settings
from pellucid.commands.rows import rows_of


def run(given: Settings) -> None:
    """Examine a table with a model that suits it, as `train` makes one; print the report."""
    training = _training(given)
    rows = rows_of(training)
    for note in (*rows.plan.notes, *rows.notes):
        print(f"note: {note}", file=sys.stderr)
    report = diagnose(
        model_of(rows, training), rows.X, rows.y, epochs=given.epochs, batch_size=given.batch_size,
        budget_seconds=given.seconds,
    )  # fmt: skip
    print(json.dumps(report.to_json(), ensure_ascii=False) if given.json else report)


def _training(given: Settings) -> Settings:
    """Return the settings of a training on all rows, as far as they are given."""
    values = {option.name: option.default for option in TRAIN.all}
    values |= {name: given[name] for name in given.names & values.keys()}
    return Settings(values | {"layers": given.hidden, "validation": 0.0, "test": 0.0})
