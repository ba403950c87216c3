"""How good predictions are, beside a guess that knows nothing of the row.

classes   the guess names the most frequent class of the training rows, with their shares
values    the guess is the mean of the training rows
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.graph import Array
from pellucid.tables.reading import counted

UNEVEN = 0.8  # share of the most frequent class, from which on accuracy says little
SURE = 0.05  # chance of such a result for a model that is as good as the guess


@dataclass(frozen=True, eq=False)
class Verdict:
    """Scores of a model and of a guess, on the same rows.

    `won` and `lost`: in how many rows the model is nearer to the truth than the guess, and
    farther; `chance`, how probable at least so many wins are by chance alone (a sign test).
    """

    rows: int
    guessed: str
    scores: dict[str, float]
    guess: dict[str, float]
    won: int
    lost: int
    table: tuple[tuple[int, ...], ...] = ()  # true classes by predicted ones
    classes: tuple[str, ...] = ()

    @property
    def chance(self) -> float:
        """P(at least `won` wins of won + lost), where both are as likely."""
        return tail(self.won, self.won + self.lost)

    def lines(self) -> list[str]:
        """Return it as a table of lines."""
        width = max(len(name) for name in self.scores)
        head = f"  {'':{width}}  {'model':>10}  {'guess':>10}"
        rows = [f"  {name:{width}}  {_shown(value):>10}  {_shown(self.guess[name]):>10}"
                for name, value in self.scores.items()]  # fmt: skip
        return [
            head,
            *rows,
            f"  the guess: {self.guessed}",
            f"  {self.conclusion()}",
            *self.remarks(),
        ]

    def conclusion(self) -> str:
        """Say whether the model is better than the guess, as far as these rows can tell."""
        nearer = "right where the guess is wrong" if self.classes else "nearer than the guess"
        other = "wrong where it is right" if self.classes else "farther"
        told = f"{nearer} on {counted(self.won, 'row')}, {other} on {self.lost:,}"
        if self.chance < SURE:
            p = f"p = {self.chance:.2g}" if self.chance > 1e-99 else "p < 1e-99"
            return f"{told}: better than a guess (chance alone: {p})"
        what = "right more often" if self.classes else "better"
        return f"{told}: NOT shown to be {what} than a guess (p = {self.chance:.2g})"

    def remarks(self) -> list[str]:
        """Return what else there is to say: that rare classes hardly count in the accuracy."""
        if not self.classes or self.guess["accuracy"] < UNEVEN:
            return []
        share, recall = self.guess["accuracy"], _shown(self.guess["mean recall"])
        return [
            f"  one class has {share:.0%} of the rows, so that a guess is right as often: mean "
            f"recall, where it has {recall}, counts the classes alike"
        ]

    def confusion(self) -> list[str]:
        """Return true classes against predicted ones as lines; none where they are many."""
        if not self.table or len(self.classes) > 10:
            return []
        names = [name[:12] for name in self.classes]
        wide = max(6, *map(len, names))
        head = f"  {'true, predicted:':16}" + "".join(f"  {name:>{wide}}" for name in names)
        rows = [f"  {name:16}" + "".join(f"  {count:>{wide},}" for count in row)
                for name, row in zip(names, self.table, strict=True)]  # fmt: skip
        return [head, *rows]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "rows": self.rows,
            "model": self.scores,
            "guess": self.guess,
            "guessed": self.guessed,
            "won": self.won,
            "lost": self.lost,
            "chance": self.chance,
            "classes": list(self.classes),
            "confusion": [list(row) for row in self.table],
        }


def _shown(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def tail(wins: int, tries: int) -> float:
    """Return the chance of at least so many heads, of fair throws.

    >>> tail(2, 2), tail(0, 0)
    (0.25, 1.0)
    """
    if tries > 1000:  # the normal curve is as good, to two digits
        z = (wins - 0.5 - tries / 2) / math.sqrt(tries / 4)
        return float(0.5 * math.erfc(z / math.sqrt(2)))
    heads: int = sum(math.comb(tries, k) for k in range(wins, tries + 1))
    return float(heads / 2**tries)


# -- classes ---------------------------------------------------------------------------------------


def judged_classes(
    shares: Array, y: Array, frequencies: Sequence[float], classes: Sequence[str]
) -> Verdict:
    """Judge probabilities of classes (n, classes) by the numbers of the true ones (n,).

    `frequencies` are the shares of the classes in the training rows.
    """
    truth, n, count = y.astype(int), len(y), len(classes)
    prior = np.asarray(frequencies, float)
    first, found = int(prior.argmax()), shares.argmax(axis=1)
    right, guess = found == truth, truth == first
    table = np.zeros((count, count), int)
    np.add.at(table, (truth, found), 1)
    there = np.flatnonzero(table.sum(axis=1))
    recalls = [table[k, k] / table[k].sum() for k in there]
    return Verdict(
        n,
        f"always {classes[first]!r}, the most frequent class of the training rows",
        {
            "accuracy": float(right.mean()),
            "mean recall": float(np.mean(recalls)),
            "log loss": log_loss(shares[np.arange(n), truth]),
        },
        {
            "accuracy": float(guess.mean()),
            "mean recall": (1 if first in there else 0) / len(there),
            "log loss": log_loss(prior[truth]),
        },
        int((right & ~guess).sum()),
        int((~right & guess).sum()),
        tuple(tuple(int(k) for k in row) for row in table),
        tuple(classes),
    )


def log_loss(shares: Array) -> float:
    """Return the mean of -ln(probability of what is true)."""
    least = float(np.finfo(shares.dtype).tiny)
    return float(-np.log(np.maximum(shares, least)).mean())


# -- values ----------------------------------------------------------------------------------------


def judged_values(found: Array, y: Array, mean: float) -> Verdict:
    """Judge predicted values (n,) by the true ones; `mean` is that of the training rows."""
    off, guess = np.abs(found - y), np.abs(mean - y)
    return Verdict(
        len(y),
        f"always {_shown(mean)}, the mean of the training rows",
        _errors(off, y),
        _errors(guess, y),
        int((off < guess).sum()),
        int((off > guess).sum()),
    )


def _errors(off: Array, y: Array) -> dict[str, float]:
    spread = float(((y - y.mean()) ** 2).sum())
    squares = float((off**2).sum())
    return {
        "RMSE": math.sqrt(squares / len(y)),
        "MAE": float(off.mean()),
        "R²": 1 - squares / spread if spread else math.nan,
    }
