"""What a training run leaves: loss and metrics by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pellucid.errors import NonFiniteError
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


class History(Mapping[str, list[float]]):
    """Loss and metrics by epoch, as a mapping: history["loss"], history["val_accuracy"].

    `epochs` is how many whole epochs ran, `seconds` how long they took, `backend` what computed
    them ("numpy" or "numba"; `backend.why` says why), `stopped` why training ended early (""
    where it did not), and `failure` the `NonFiniteError`, where NaN or Inf ended it.

    >>> history = History()
    >>> history.append({"loss": 0.7, "accuracy": 0.5})
    >>> history["loss"], history.epochs
    ([0.7], 1)
    """

    def __init__(self, backend: Backend = NUMPY) -> None:
        self._lists: dict[str, list[float]] = {}
        self._rows: list[tuple[Sequence[str], Array]] = []  # not yet in the lists
        self.backend, self.stopped, self.seconds = backend, "", 0.0
        self.failure: NonFiniteError | None = None

    @property
    def epochs(self) -> int:
        """How many whole epochs ran."""
        return len(next(iter(self._lists.values()), [])) + sum(len(rows) for _, rows in self._rows)

    @property
    def whole(self) -> int:
        """How many epochs have all of their values."""
        return min(map(len, self._values.values()), default=0)

    def append(self, logs: Mapping[str, float]) -> None:
        """Add one epoch."""
        for name, value in logs.items():
            self._values.setdefault(name, []).append(value)

    def extend(self, names: Sequence[str], rows: Array) -> None:
        """Add many epochs: one row each, one column for each name."""
        self._rows.append((names, rows))

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
