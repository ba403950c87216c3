"""Small data sets to learn on, bundled or made from a seed: every function returns (X, y)."""

from pellucid.data._digits import digits
from pellucid.data._split import split
from pellucid.data._synthetic import blobs, circles, moons, spirals
from pellucid.data._tables import logic_and, logic_or, xor

__all__ = [
    "blobs",
    "circles",
    "digits",
    "logic_and",
    "logic_or",
    "moons",
    "spirals",
    "split",
    "xor",
]
