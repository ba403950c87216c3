"""`pellucid evaluate`: how good a trained model is on rows, beside a guess."""

from __future__ import annotations

import json

from pellucid.commands.again import samples
from pellucid.commands.folder import opened
from pellucid.commands.options import Settings
from pellucid.commands.rows import needed
from pellucid.commands.scoring import verdict
from pellucid.tables.reading import counted


def run(given: Settings) -> None:
    """Judge, and print scores."""
    trained = opened(needed(given, "run"))
    found = samples(trained, given)
    found.tell()
    known = trained.frequencies if trained.schema.classes else [trained.mean]
    judged = verdict(trained.model, found.X, found.y, trained.schema.classes, known)
    if given.json:
        print(json.dumps(judged.to_json() | {"judged": found.name}, ensure_ascii=False))
        return
    print(f"on {counted(judged.rows, 'row')} {found.name}:")
    print("\n".join([*judged.lines(), *judged.confusion()]))
