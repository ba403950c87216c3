"""What a sweep leaves: a row for each training, a line for each point of the grid, and the curves.

Sweep     rows, curves, rates     Report    what is told on the screen while it is on its way
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from pellucid.callbacks import Progress
from pellucid.errors import ArgumentError, one_of
from pellucid.graph import Array
from pellucid.history import Backend

Point = dict[str, Any]
Row = dict[str, Any]

Z95 = 1.959963984540054  # within ±Z95 lie 95% of a normal distribution


class Sweep:
    """What came out of many trainings; its repr is the table, a line for each point of the grid.

    `rows`, a dict for each training: point, seed, loss and metrics of the last whole epoch,
    converged (None where nothing says what that is), status ("trained" or "diverged"), failed_at
    (the step whose numbers were not finite), steps, seconds. `curves` (rows, epochs), the losses
    at the ends of the epochs in `epochs`, which count from 0: all, up to 1000; NaN after a failure.
    `points`, `backend`, `workers`, `seconds`; `stopped` says why the sweep ended early ("" where
    it did not).

    >>> point = {"hidden": 2}
    >>> rows = [{"point": point, "seed": s, "loss": 0.25 - s / 8, "metrics": {},
    ...          "converged": s > 0, "status": "trained"} for s in range(2)]
    >>> Sweep(rows, points=[point])
    hidden  runs  converged   95% interval  median loss    min   max
         2     2      50.0%  9.5% to 90.5%       0.1875  0.125  0.25
    """

    def __init__(
        self,
        rows: list[Row],
        curves: Array | None = None,
        epochs: Array | None = None,
        *,
        points: Sequence[Point],
        backend: str = "",
        workers: int = 1,
        seconds: float = 0.0,
        stopped: str = "",
        models: Sequence[Callable[[], Any]] = (),
    ) -> None:
        self.rows, self.curves, self.epochs, self.points = rows, curves, epochs, list(points)
        self.backend, self.workers, self.seconds = backend, workers, seconds
        self.stopped, self._models = stopped, models

    @property
    def best(self) -> Row:
        """The row of the lowest final loss, on held-out samples where there are any.

        A training that diverged is best only where all did. Raises: ArgumentError without rows.
        """
        if not self.rows:
            raise ArgumentError("no training was finished", "give it more time")
        return min(self.rows, key=_rank)

    def model(self, row: Row | int) -> Any:
        """Return the model of a row, or of its number, as training left it: parameters and state.

        It is trained again where the numbers of all models would have taken more than 64 MiB.
        Raises: ArgumentError for what is no row of this sweep.
        """
        found = [k for k, r in enumerate(self.rows) if r is row or k == row]
        if len(found) != 1:
            hint = f"sweep.model(sweep.best), or a number from 0 to {len(self.rows) - 1}"
            raise ArgumentError(f"{row!r} is no row of this sweep", hint)
        return self._models[found[0]]()

    def rate(self, **point: Any) -> float:
        """Return the share of trainings that converged, of those at this point: rate(hidden=4).

        Names that are left out may have any value. Raises: ArgumentError where nothing says what
        converged means, or no training was at this point.
        """
        share, _, _ = self._rate(self._at(point))
        return share

    def interval(self, **point: Any) -> tuple[float, float]:
        """Return the 95% interval of the rate at this point (Wilson 1927).

            (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n),  z = 1.96

        Raises as `rate` does.
        """
        _, low, high = self._rate(self._at(point))
        return low, high

    def _at(self, point: Mapping[str, Any]) -> list[Row]:
        for name, value in point.items():
            known = self.points[0]
            if name not in known:
                raise one_of("name of the grid", name, known)
            if not any(p[name] == value for p in self.points):
                values = dict.fromkeys(short(p[name]) for p in self.points)
                raise ArgumentError(f"no training has {name}={value!r}", f"{', '.join(values)}")
        return [r for r in self.rows if all(r["point"][k] == v for k, v in point.items())]

    def _rate(self, rows: Sequence[Row]) -> tuple[float, float, float]:
        verdicts = [row["converged"] for row in rows]
        if None in verdicts:
            hint = 'pc.sweep(…, converged=0.01), or metrics=["accuracy"] in the model'
            raise ArgumentError("nothing says when a training has converged", hint)
        if not verdicts:
            return math.nan, 0.0, 1.0
        return sum(verdicts) / len(verdicts), *wilson(sum(verdicts), len(verdicts))

    # -- reading ---------------------------------------------------------------------------------

    def table(self) -> str:
        """Return the table as text: one line for each point of the grid.

        Losses are of the trainings that did not diverge.
        """
        groups = [[row for row in self.rows if row["point"] is point] for point in self.points]
        columns = [
            *((name, [short(point[name]) for point in self.points]) for name in self.points[0]),
            *((title, [cell(group) for group in groups]) for title, cell in self._columns()),
        ]
        cells = [[title, *column] for title, column in columns]
        widths = [max(map(len, column)) for column in cells]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True))
            for line in zip(*cells, strict=True)
        ]
        return "\n".join([*lines, *([f"stopped: {self.stopped}"] if self.stopped else [])])

    def _columns(self) -> Iterator[tuple[str, Callable[[list[Row]], str]]]:
        """Yield titles, and what they say of the trainings at one point."""
        yield "runs", lambda rows: str(len(rows))
        if self.rows and self.rows[0]["converged"] is not None:
            yield "converged", lambda rows: f"{self._rate(rows)[0]:.1%}"
            yield "95% interval", lambda rows: "{:.1%} to {:.1%}".format(*self._rate(rows)[1:])
        if any(row["status"] == "diverged" for row in self.rows):
            yield "diverged", lambda rows: str(sum(r["status"] == "diverged" for r in rows))
        yield "median loss", lambda rows: _of_losses(median, rows)
        yield "min", lambda rows: _of_losses(min, rows)
        yield "max", lambda rows: _of_losses(max, rows)

    def __repr__(self) -> str:
        return self.table()

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows as a table that spreadsheets and pandas read; return the path."""
        import csv

        path, rows = Path(path), [_flat(row) for row in self.rows]
        names = dict.fromkeys(name for row in rows for name in row)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(names))
            writer.writeheader()
            writer.writerows(rows)
        return path

    def to_json(self) -> str:
        """Return the rows as JSON, with null for what is not finite."""
        return json.dumps([_plain(row) for row in self.rows], ensure_ascii=False)


def _of_losses(function: Callable[[list[float]], float], rows: list[Row]) -> str:
    losses = [row["loss"] for row in rows if row["status"] != "diverged"]
    return f"{function(losses):.4g}" if losses else "-"


def _rank(row: Row) -> tuple[bool, float]:
    loss = row["metrics"].get("val_loss", row["loss"])
    return row["status"] == "diverged", loss if math.isfinite(loss) else math.inf


def wilson(count: int, runs: int) -> tuple[float, float]:
    """Return the 95% interval of a share, `count` of `runs` (Wilson 1927).

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    share, z2 = count / runs, Z95**2
    middle = share + z2 / (2 * runs)
    half = Z95 * math.sqrt(share * (1 - share) / runs + z2 / (4 * runs**2))
    low, high = (middle - half) / (1 + z2 / runs), (middle + half) / (1 + z2 / runs)
    return (0.0 if count == 0 else low), (1.0 if count == runs else high)


def short(value: Any) -> str:
    """Return a setting as it is shown in a table: a function by its name, and nothing long."""
    text = str(getattr(value, "__name__", value))
    return text if len(text) <= 32 else f"{text[:31]}…"


def _flat(row: Row) -> Row:
    """Return a row without dicts in it; a name that is taken gets a prefix."""
    own = {k: v for k, v in row.items() if k not in ("point", "metrics")}
    point = {k if k not in own else f"point_{k}": short(v) for k, v in row["point"].items()}
    taken = {*own, *point}
    metrics = {k if k not in taken else f"metric_{k}": v for k, v in row["metrics"].items()}
    return {**point, "seed": own.pop("seed"), "loss": own.pop("loss"), **metrics, **own}


def _plain(value: Any) -> Any:
    """Return what JSON can hold."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else short(value)


# -- on the screen -------------------------------------------------------------------------------


class Report:
    """What is told while a sweep is on its way: a live bar, or one line where it is piped."""

    def __init__(self, verbose: int) -> None:
        self.verbose, self.bar = verbose, Progress(every=0)
        self.count = self.judged = self.converged = 0
        self.best = math.inf

    def begin(self, total: int) -> None:
        """Start the clock."""
        self.bar.on_train_begin({"epochs": total, "batches": 1})

    def says(self, backends: Sequence[Backend], asked: str) -> None:
        """Say what computes: where it is not what one would wish, or at `verbose=2`."""
        for name, why in {str(b): b.why for b in backends}.items():
            slow = name == "numpy" and asked != "numpy"
            if self.verbose > 1 or (slow and self.verbose):
                print(f"backend {name}: {why}" + ("; one training after another" * slow))

    def step(self, loss: float, verdict: bool | None) -> None:
        """Count one more training."""
        self.count += 1
        self.judged += verdict is not None
        self.converged += bool(verdict)
        self.best = min(self.best, loss) if math.isfinite(loss) else self.best
        if self.verbose and self.bar.live:
            self.bar.on_epoch_end(self.count - 1, self._logs())

    def _logs(self) -> dict[str, float]:
        share = {"converged": self.converged / self.judged} if self.judged else {}
        return {"best loss": self.best, **share}

    def end(self, sweep: Sweep) -> None:
        """Leave the bar as it is, or tell in one line what it would have shown."""
        if not self.verbose:
            return
        if self.bar.live:
            self.bar.on_train_end({})
            return
        told = "  ".join(f"{name} {value:.4f}" for name, value in self._logs().items())
        whole = f"{self.count} trainings" + f"  {told}" * bool(self.count)
        stopped = f"  stopped: {sweep.stopped}" * bool(sweep.stopped)
        print(f"{whole}  {sweep.seconds:.1f} s{stopped}", file=sys.stdout)
