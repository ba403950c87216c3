"""How figures read: units, ratios, tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contestants import KNOWN, MULTIPLIERS
from bench.stats import Spread

OTHERS = {
    "auto": 'pellucid, backend="auto"',
    "pellucid-first": "pellucid, empty cache",
    "nothing": "`python -c pass`",
    "import-numba": "`import numba, scipy` alone",
    "import-torch": "`import torch` alone",
    "import-jax": "`import jax.numpy` alone",
}
TITLES = {name: e.title for name, e in (KNOWN | MULTIPLIERS).items()} | OTHERS


def number(x: float) -> str:
    """Write three significant digits, without powers of ten.

    >>> [number(x) for x in (0.01234, 1.2, 99.96, 12345.6)]
    ['0.0123', '1.20', '100', '12,346']
    """
    for limit, digits in ((0.0995, 4), (0.995, 3), (9.995, 2), (99.95, 1)):
        if abs(x) < limit:
            return f"{x:.{digits}f}"
    return f"{x:,.0f}"


def seconds(x: float) -> str:
    """Write a time in the unit that suits it.

    >>> seconds(1.5e-7), seconds(0.00012), seconds(2.0)
    ('150 ns', '120 µs', '2.00 s')
    """
    if not x:
        return "0"
    for unit, size in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3)):
        if abs(x) < 999.5 * size:
            return f"{number(x / size)} {unit}"
    return f"{number(x)} s"


def size(x: float) -> str:
    """Write an amount of memory.

    >>> size(2048), size(3 * 2**20)
    ('2.00 KiB', '3.00 MiB')
    """
    return f"{number(x / 2**10)} KiB" if abs(x) < 2**20 else f"{number(x / 2**20)} MiB"


def ratio(found: Spread, bold: bool = False) -> str:
    """Write a median ratio, and the least and greatest beside it.

    >>> ratio(Spread(1.5, 2.0, 2.25))
    '2.00× (1.50-2.25)'
    """
    median = f"**{number(found.median)}×**" if bold else f"{number(found.median)}×"
    if found.min == found.max:
        return median
    return f"{median} ({number(found.min)}-{number(found.max)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Write a table; columns after the first `words` are set flush right."""
    marks = ["---" if k < words else "--:" for k in range(len(head))]
    lines = [head, marks, *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]
