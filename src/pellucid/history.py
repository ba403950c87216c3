"""What a training run leaves: loss and metrics by epoch."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pellucid.callbacks.monitors import watched
from pellucid.errors import DataError, NonFiniteError, PellucidError, one_of
from pellucid.graph import Array


class Backend(str):
    """What computes, "numpy" or "numba"; `why` says how it was chosen.

    >>> Backend("numpy", "it was asked for").why
    'it was asked for'
    """

    __slots__ = ("why",)
    why: str

    def __new__(cls, name: str, why: str = "") -> Backend:
        """Make the name, and attach the reason."""
        made = str.__new__(cls, name)
        made.why = why
        return made


NUMPY = Backend("numpy")


class Best(NamedTuple):
    """The best value of a history, and its epoch, from 1, as it is printed."""

    epoch: int
    value: float


class History(Mapping[str, list[float]]):
    """Loss and metrics by epoch, as a mapping: history["loss"], history["val_accuracy"].

    "loss" is averaged over an epoch's batches, while the parameters move; `fit(record=True)` adds
    "train_loss", of all training samples at the epoch's end, and "gradient_norm", the length of the
    gradient there.

    `epochs` is how many whole epochs ran, `seconds` how long they took, `seconds_by_epoch` each
    (epochs of a compiled run that ran together share their time equally), `rates` the learning rate
    of each one's last step, `backend` what computed them ("numpy" or "numba"; `backend.why` says
    why), `stopped` why training ended early ("" where it did not), and `failure` the
    `NonFiniteError`, where NaN or Inf ended it.

    >>> history = History()
    >>> history.append({"loss": 0.7, "accuracy": 0.5})
    >>> history["loss"], history.epochs
    ([0.7], 1)
    """

    def __init__(self, backend: Backend = NUMPY) -> None:
        self._lists: dict[str, list[float]] = {}
        self._rows: list[tuple[Sequence[str], Array]] = []  # not yet in the lists
        self._epochs = 0
        self.backend, self.stopped, self.seconds = backend, "", 0.0
        self.rates: list[float] = []
        self.seconds_by_epoch: list[float] = []
        self.failure: NonFiniteError | None = None
        self.start()

    @property
    def epochs(self) -> int:
        """How many whole epochs ran."""
        return self._epochs

    @property
    def whole(self) -> int:
        """How many epochs have all of their values."""
        return min(map(len, self._values.values()), default=0)

    def start(self) -> None:
        """Start the clock of the epoch that comes next."""
        self._clock = time.perf_counter()

    def append(self, logs: Mapping[str, float], seconds: float | None = None) -> None:
        """Add one epoch; it took so many seconds, or those since the last one."""
        for name, value in logs.items():
            self._values.setdefault(name, []).append(value)
        self._timed(1)
        if seconds is not None:
            self.seconds_by_epoch[-1] = seconds

    def extend(self, names: Sequence[str], rows: Array) -> None:
        """Add many epochs: one row each, one column for each name."""
        self._rows.append((names, rows))
        self._timed(len(rows))

    def _timed(self, epochs: int) -> None:
        """Count epochs, and share the time since the last one among them."""
        now = time.perf_counter()
        self.seconds_by_epoch += [(now - self._clock) / max(epochs, 1)] * epochs
        self._clock, self._epochs = now, self._epochs + epochs

    @property
    def _values(self) -> dict[str, list[float]]:
        for names, rows in self._rows:
            for name, column in zip(names, rows.T.tolist(), strict=True):
                self._lists.setdefault(name, []).extend(column)
        self._rows.clear()
        return self._lists

    def cut(self, epochs: int) -> None:
        """Forget all but the first epochs."""
        self._lists = {name: values[:epochs] for name, values in self._values.items() if epochs}
        self._epochs = self.whole
        self.rates, self.seconds_by_epoch = self.rates[:epochs], self.seconds_by_epoch[:epochs]

    def __getitem__(self, name: str) -> list[float]:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        last = "  ".join(f"{name} {values[-1]:.4f}" for name, values in self.items())
        stopped = f", stopped: {self.stopped}" if self.stopped else ""
        return f"<History of {self.epochs} epochs{stopped}: {last}>"

    # -- to be read, and to be kept ----------------------------------------------------------------

    def best(self, name: str = "val_loss", mode: str = "auto") -> Best:
        """Return the best value of one name, and the first epoch that has it, from 1; NaN is none.

        Args: `mode`, "min", "max", or "auto", which tells losses from scores by their names.
        Raises: ArgumentError for an unknown name, DataError where no value is a number.

        >>> history = History()
        >>> for loss in (0.7, 0.2, 0.3): history.append({"val_loss": loss})
        >>> history.best()
        Best(epoch=2, value=0.2)
        """
        if name not in self:
            raise one_of("name", name, self)
        direction, values = watched(name, mode), self[name]
        found = [k for k, value in enumerate(values) if not math.isnan(value)]
        if not found:
            raise DataError(f"the history has no value of {name!r} that is a number", "fit first")
        choose = min if direction.mode == "min" else max
        first = choose(found, key=lambda k: values[k])
        return Best(first + 1, values[first])

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame: a row an epoch, from 1, a column a name.

        It also has "learning_rate" and "seconds". Raises: PellucidError where pandas is missing.

            history.to_pandas().plot(y=["loss", "val_loss"])
        """
        pandas = _pandas()
        rates = {} if "learning_rate" in self or not self.rates else {"learning_rate": self.rates}
        columns = {**self, **rates, "seconds": self.seconds_by_epoch}
        index = pandas.RangeIndex(1, self.epochs + 1, name="epoch")
        return pandas.DataFrame(columns, index=index, dtype=float)

    def to_json(self) -> str:
        """Return all of it as JSON text, from which `from_json` makes it again.

        NaN and infinity, which JSON does not have, are written as text. Of a `failure` the words
        are kept, and the facts that are numbers or text.

        >>> history = History()
        >>> history.append({"loss": float("inf")})
        >>> History.from_json(history.to_json())["loss"]
        [inf]
        """
        told = {
            "format": FORMAT,
            "values": {name: list(map(_told, values)) for name, values in self.items()},
            "rates": list(map(_told, self.rates)),
            "seconds": self.seconds,
            "seconds_by_epoch": self.seconds_by_epoch,
            "backend": [str(self.backend), self.backend.why],
            "stopped": self.stopped,
            "failure": None if self.failure is None else _failure(self.failure),
        }
        return json.dumps(told, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> History:
        """Return the history that `to_json` wrote. Raises: DataError for any other text."""
        try:
            told = json.loads(text)
            if told["format"] != FORMAT:
                raise DataError(f"the history is of format {told['format']!r}, not {FORMAT}")
            return cls._made(told)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"this is no history as JSON: {error!r}", "history.to_json()") from None

    @classmethod
    def _made(cls, told: Mapping[str, Any]) -> History:
        made = cls(Backend(*map(str, told["backend"])))
        made._lists = {str(k): list(map(_number, values)) for k, values in told["values"].items()}
        made._epochs = made.whole
        made.rates = list(map(_number, told["rates"]))
        made.seconds_by_epoch = list(map(_number, told["seconds_by_epoch"]))
        made.seconds, made.stopped = float(told["seconds"]), str(told["stopped"])
        if len({*map(len, made._lists.values()), len(made.seconds_by_epoch)}) > 1:
            raise DataError("the history's values are not of as many epochs each")
        if told["failure"] is not None:
            made.failure = NonFiniteError(**told["failure"])
        return made


FORMAT = 1
# What JSON has no number for.
ODD = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _told(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number(told: Any) -> float:
    return ODD[told] if isinstance(told, str) else float(told)


def _failure(error: NonFiniteError) -> dict[str, Any]:
    """Return an error's words, and those of its facts that are numbers or text."""
    facts = {k: v for k, v in vars(error).items() if isinstance(v, (str, int, type(None)))}
    return {"what": error.what, "hint": error.hint, "where": error.where} | facts


def _pandas() -> Any:
    """Return pandas, or say how to install it: the one place that imports it."""
    try:
        import pandas
    except ImportError as error:
        raise PellucidError(
            f"a data frame is made by pandas, which cannot be imported: {error}",
            'pip install "pellucid[pandas]"',
        ) from None
    return pandas
