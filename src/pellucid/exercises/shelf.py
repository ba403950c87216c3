"""All exercises, found by name or by an unambiguous part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pellucid.errors import ArgumentError, one_of
from pellucid.exercises.exercise import Exercise, Worked


@dataclass(frozen=True)
class Listing:
    """The exercises there are: printed, a table; iterated over, their names."""

    titles: dict[str, str]

    def __iter__(self) -> Iterator[str]:
        return iter(self.titles)

    def __len__(self) -> int:
        return len(self.titles)

    def __str__(self) -> str:
        wide = max(map(len, self.titles))
        return "\n".join(f"{name.ljust(wide)}  {title}" for name, title in self.titles.items())

    __repr__ = __str__


def exercises() -> dict[str, Exercise]:
    """Return all exercises by name, in the order of the documents."""
    from pellucid.exercises import (
        row_a,
        row_a2,
        row_a_learning,
        row_b,
        row_b_trained,
        row_c,
        row_c_nets,
        row_d,
        row_e,
    )

    rooms = (row_a, row_a_learning, row_a2, row_b, row_b_trained, row_c, row_c_nets, row_d, row_e)
    return {each.name: each for room in rooms for each in room.EXERCISES}


def found(name: str) -> Exercise:
    """Return the exercise of this name, or the only one that has it as a part."""
    known, wanted = exercises(), " ".join(str(name).split()).lower()
    exact = [e for n, e in known.items() if wanted in (n.lower(), n.partition("/")[2].lower())]
    if len(exact) == 1:
        return exact[0]
    near = [e for n, e in known.items() if wanted and wanted in n.lower()]
    if len(near) > 1:
        names = ", ".join(repr(e.name) for e in near)
        raise ArgumentError(f"several exercises have {name!r} in their name", f"one of {names}")
    if not near:
        raise one_of("exercise", name, known)
    return near[0]


def worked(name: str | None = None, *, blanks: bool = False, **options: Any) -> Any:
    """Return an exercise of the teaching documents, solved; without a name, the list of them.

    Every number comes from the graph that trains, by way of explanations, models and gates, in the
    document's own notation and names; where the document prints a wrong number, `remarks` says so.
    Args: `name`, exact or an unambiguous part, such as "2-3-1 forward"; `blanks`, True for gaps in
    place of the results, which `check` marks; `options` of some exercises, such as `starts=200`.
    Returns: a `Worked`, or a `Listing`. Raises: ArgumentError for an unknown name or option.

    >>> worked("A/2-3-1 forward").values["z1"]
    [1.0, 1.4, 1.8]
    >>> print(worked("A/2-3-1 forward", blanks=True).check({"z1": "[1, 1.4, 1.6]", "out": 0.9955}))
    1 of 4 right
      z1   wrong: not this value: 2 of 3 numbers are right, not at 2
      a1   no answer yet
      z2   no answer yet
      out  right
    """
    if name is None:
        return Listing({each.name: each.title for each in exercises().values()})
    solved: Worked = found(name).worked(blanks, **options)
    return solved
