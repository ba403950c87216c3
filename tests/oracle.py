"""A second opinion that shares nothing with the library: dual numbers on plain Python floats.

A value carries its slope along one direction; arrays are nested lists; every rule is written for
one number at a time.  Slow and obvious on purpose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Dual:
    """A number and its slope."""

    v: float
    d: float = 0.0


def add(a, b):
    return Dual(a.v + b.v, a.d + b.d)


def subtract(a, b):
    return Dual(a.v - b.v, a.d - b.d)


def multiply(a, b):
    return Dual(a.v * b.v, a.d * b.v + a.v * b.d)


def divide(a, b):
    return Dual(a.v / b.v, (a.d * b.v - a.v * b.d) / (b.v * b.v))


def maximum(a, b):
    return a if a.v > b.v else b


def minimum(a, b):
    return a if a.v < b.v else b


def tanh(a):
    return Dual(math.tanh(a.v), a.d / math.cosh(a.v) ** 2)


def sin(a):
    return Dual(math.sin(a.v), a.d * math.cos(a.v))


def exp(a):
    return Dual(math.exp(a.v), a.d * math.exp(a.v))


def log(a):
    return Dual(math.log(a.v), a.d / a.v)


def sqrt(a):
    return Dual(math.sqrt(a.v), a.d / (2 * math.sqrt(a.v)))


def square(a):
    return multiply(a, a)


def negative(a):
    return Dual(-a.v, -a.d)


def sigmoid(a):
    s = 1 / (1 + math.exp(-a.v))
    return Dual(s, a.d * s * (1 - s))


def softplus(a):
    return Dual(math.log1p(math.exp(a.v)), a.d / (1 + math.exp(-a.v)))


def relu(a):
    return a if a.v > 0 else Dual(0.0)


def absolute(a):
    return a if a.v > 0 else Dual(-a.v, -a.d)


# -- matrices: lists of rows of duals ------------------------------------------------------------


def each(rule, *matrices):
    """Apply a rule element by element; a single row or column is used for all."""
    rows = max(len(m) for m in matrices)
    columns = max(len(m[0]) for m in matrices)
    return [
        [rule(*(m[i % len(m)][j % len(m[0])] for m in matrices)) for j in range(columns)]
        for i in range(rows)
    ]


def matmul(a, b):
    return [
        [fold(add, [multiply(a[i][k], b[k][j]) for k in range(len(b))]) for j in range(len(b[0]))]
        for i in range(len(a))
    ]


def transpose(a):
    return [list(column) for column in zip(*a, strict=True)]


def fold(rule, items):
    total = items[0]
    for item in items[1:]:
        total = rule(total, item)
    return total


def sum_rows(a):
    return [[fold(add, list(column)) for column in zip(*a, strict=True)]]


def sum_all(a):
    return [[fold(add, [item for row in a for item in row])]]


def prod_columns(a):
    return [[fold(multiply, row)] for row in a]


def softmax(a):
    out = []
    for row in a:
        powers = [exp(item) for item in row]
        out.append([divide(p, fold(add, powers)) for p in powers])
    return out
