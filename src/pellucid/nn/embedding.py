"""A table of vectors, one for each code: words, categories, whatever counts from 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid import ops
from pellucid.dims import Shape, known, show
from pellucid.errors import ArgumentError, DataError, ShapeError
from pellucid.graph import Array, Node
from pellucid.nn.init import Initializer, Normal, initializer
from pellucid.nn.layer import Layer, Parameter, Params, check_size

LARGEST = 2**24  # of the whole numbers that float32 counts without a gap


@dataclass(frozen=True)
class Embedding(Layer):
    """Give every code a vector of its own, which is learned.

        a = E[x]          (n, k) -> (n, k, size),   E (vocabulary, size)

    The input holds whole numbers from 0 to vocabulary - 1, in any columns; it must be made of the
    data alone, and every code is looked at before anything is computed. A step changes only rows
    that came up, as far as the optimizer moves nothing without a gradient. `pc.Flatten()` after it
    puts the vectors of a sample in one row. Args: `vocabulary`, how many codes there are; `size`
    of the vectors; `init` for E (None: normal with deviation 1, as PyTorch has it); `trainable`.
    Raises: DataError, which names row and value, for a code that is none.

    >>> Embedding(1000, 16)
    Embedding(vocabulary=1000, size=16)
    """

    vocabulary: int
    size: int
    init: Initializer | str | None = None
    trainable: bool = True

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "vocabulary", check_size(self.vocabulary, "vocabulary"))
        put(self, "size", check_size(self.size, "size"))
        initializer(self.init)
        if self.vocabulary > LARGEST:
            raise ArgumentError(
                f"vocabulary is {self.vocabulary:,}, and float32 counts to {LARGEST:,}",
                "fewer codes: rare ones may share one",
            )

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """E (vocabulary, size)."""
        if not known(shape):
            raise ShapeError(f"Embedding takes rows of codes, not {show(('n', *shape))}")  # type: ignore[arg-type]
        init = initializer(self.init) or Normal(1.0)
        return {"E": Parameter((self.vocabulary, self.size), init)}

    def admit(self, x: Array, rows: str) -> None:
        """Refuse what is no whole number from 0 to vocabulary - 1."""
        good = (x >= 0) & (x < self.vocabulary) & (x == np.floor(x))
        if good.all():
            return
        where = np.argwhere(~good)[0]
        column = f", column {', '.join(map(str, where[1:]))}" if x.ndim > 1 else ""
        raise DataError(
            f"row {where[0]} of {rows}{column} holds {x[tuple(where)]:g}, and Embedding takes "
            f"whole numbers from 0 to {self.vocabulary - 1}",
            "pc.Embedding(vocabulary=…) counts every code; np.unique(…, return_inverse=True) makes "
            "codes of anything",
        )

    def __call__(self, x: Node, p: Params) -> Node:
        """a = E[x]."""
        return p["E"][ops.astype(x, np.int64)]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        """Show the settings that differ from their defaults."""
        more = "" if self.init is None else f", init={self.init!r}"
        more += "" if self.trainable else ", trainable=False"
        return f"Embedding(vocabulary={self.vocabulary}, size={self.size}{more})"
