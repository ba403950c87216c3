"""What a training run leaves: loss and metrics by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class History(Mapping[str, list[float]]):
    """Loss and metrics by epoch, as a mapping: history["loss"], history["val_accuracy"].

    `epochs` is how many whole epochs ran, `seconds` how long they took, `backend` what computed
    them, and `stopped` why training ended early ("" where it did not).

    >>> history = History()
    >>> history.append({"loss": 0.7, "accuracy": 0.5})
    >>> history["loss"], history.epochs
    ([0.7], 1)
    """

    def __init__(self, backend: str = "numpy") -> None:
        self._values: dict[str, list[float]] = {}
        self.backend, self.stopped, self.seconds = backend, "", 0.0

    @property
    def epochs(self) -> int:
        """How many whole epochs ran."""
        return len(next(iter(self._values.values()), []))

    def append(self, logs: Mapping[str, float]) -> None:
        """Add one epoch."""
        for name, value in logs.items():
            self._values.setdefault(name, []).append(value)

    def cut(self, epochs: int) -> None:
        """Forget all but the first epochs."""
        self._values = {name: values[:epochs] for name, values in self._values.items() if epochs}

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
