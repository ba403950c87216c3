"""Dimensions that are not yet numbers: integer polynomials of the batch size.

    Dim  = {monomial: coefficient}        e.g. 8·n  is  {("n",): 8}
    monomial = sorted tuple of symbols    the constant term is ()

Two dimensions are equal when their polynomials are, so `n * 64 == 64 * n` can be decided; a
polynomial without a symbol collapses to a plain `int`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pellucid.errors import ShapeError

Terms = Mapping[tuple[str, ...], int]


class Dim:
    """An integer polynomial of named symbols, such as `n`, `8 n` or `n + 1`."""

    __slots__ = ("terms",)

    def __init__(self, terms: Terms) -> None:
        self.terms = dict(terms)

    def __add__(self, other: Size) -> Size:
        total = dict(self.terms)
        for monomial, factor in terms_of(other).items():
            total[monomial] = total.get(monomial, 0) + factor
        return collapse(total)

    def __mul__(self, other: Size) -> Size:
        total: dict[tuple[str, ...], int] = {}
        for left, a in self.terms.items():
            for right, b in terms_of(other).items():
                monomial = tuple(sorted(left + right))
                total[monomial] = total.get(monomial, 0) + a * b
        return collapse(total)

    def __floordiv__(self, other: Size) -> Size:
        """Divide where the quotient is exact, and say so where it is not."""
        divisor = terms_of(other)
        if len(divisor) == 1:
            ((symbols, factor),) = divisor.items()
            parts = {without(m, symbols): divmod(c, factor) for m, c in self.terms.items()}
            if None not in parts and not any(rest for _, rest in parts.values()):
                return collapse({m: c for m, (c, _) in parts.items() if m is not None})
        raise ShapeError(f"{self} cannot be divided by {other} without knowing the batch size")

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + other * -1

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __repr__(self) -> str:
        words = [term(m, c) for m, c in sorted(self.terms.items(), reverse=True)]
        return " + ".join(words).replace("+ -", "- ")

    def at(self, sizes: Mapping[str, int]) -> int:
        """Return the number that the polynomial is for these sizes."""
        return sum(c * math.prod(sizes[s] for s in m) for m, c in self.terms.items())


Size = int | Dim
Shape = tuple[Size, ...]


def symbol(name: str) -> Dim:
    """Return the dimension that is just `name`."""
    return Dim({(name,): 1})


def terms_of(size: Size) -> Terms:
    return size.terms if isinstance(size, Dim) else {(): int(size)}


def collapse(terms: Terms) -> Size:
    """Drop zero terms; return an `int` where no symbol is left."""
    kept = {m: c for m, c in terms.items() if c}
    return Dim(kept) if any(kept) else kept.get((), 0)


def without(monomial: tuple[str, ...], symbols: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the monomial divided by `symbols`, or None where it does not divide."""
    rest = list(monomial)
    for name in symbols:
        if name not in rest:
            return None
        rest.remove(name)
    return tuple(rest)


def term(monomial: tuple[str, ...], factor: int) -> str:
    letters = " * ".join(monomial)
    if not letters:
        return str(factor)
    return letters if factor == 1 else f"{factor} * {letters}"


def product(sizes: Shape) -> Size:
    """Return the number of elements of a shape."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def known(shape: Shape) -> bool:
    """Say whether every dimension is a number."""
    return all(isinstance(size, int) for size in shape)


def at(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape in numbers."""
    return tuple(s.at(sizes) if isinstance(s, Dim) else s for s in shape)


def show(shape: Shape) -> str:
    """Return the shape as a person writes it: (n, 8)."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
