"""Names for what is explained: each its own, and none that a gradient or a function has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import numpy as np

from pellucid.graph import Node, order
from pellucid.op import HELPERS

LONGEST = 30  # ops of one formula: what is longer is cut, and the parts get names


class Names:
    """Hands out names that nothing else has: z1, or z1_2 where z1 is taken.

    `reserved` are those that stand for something else. The gradient of x is called d_x, so no
    value may be called that where there is an x, nor what x becomes, x_new.
    """

    def __init__(self, wanted: Iterable[str], reserved: Iterable[str] = ()) -> None:
        self.taken = set(reserved)
        bases = {*wanted, *self.taken}
        self.derived = {f"d_{base}" for base in bases} | {f"{base}_new" for base in bases}

    def fresh(self, base: str) -> str:
        """Return the name itself, or the first of name_2, name_3, … that is free."""
        for k in count(1):
            name = base if k == 1 else f"{base}_{k}"
            if self.free(name):
                self.taken.add(name)
                return name
        raise AssertionError

    def free(self, name: str) -> bool:
        function = name in HELPERS or callable(getattr(np, name, None))
        return name not in self.taken and name not in self.derived and not function


def crowded(outputs: Sequence[Node], names: Mapping[Node, str]) -> list[Node]:
    """Return unnamed values that need a name: read more than once, or the end of a long formula.

    Written in place, a value read twice at each of ten levels would be there a thousand times.
    """
    below = order(outputs)
    reads = Counter(arg for x in below for arg in x.args)
    size: dict[Node, int] = {}
    found = []
    for x in below:
        if x.op is None or x in names or not x.args:
            size[x] = 1
            continue
        size[x] = 1 + sum(size.get(arg, 1) for arg in x.args)
        shared = reads[x] > 1 and size[x] > 3 and x.op.kind not in ("view", "dim")
        if shared or size[x] > LONGEST:
            found.append(x)
            size[x] = 1
    return found
