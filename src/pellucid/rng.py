"""Random numbers without a state: a key names a stream, and word k of it can be computed alone.

    word k of a stream  =  mix(key + (k + 1) * GAMMA)  mod 2^64

That is splitmix64 (Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators")
read as a function of a counter. Nothing is consumed, so any draw can be replayed without those
before it, and no draw can disturb another. Every number is made of integer steps that a compiled
loop can repeat bit for bit; only `normal` also needs a logarithm, a sine and a cosine, whose last
bit may differ from one machine to another. `noise` has its own, which do not.
"""

from collections.abc import Sequence
from math import prod
from operator import index
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from pellucid.kernels import bell

Words = NDArray[np.uint64]
Shape = SupportsIndex | Sequence[SupportsIndex]

MASK = 0xFFFF_FFFF_FFFF_FFFF
GAMMA = 0x9E37_79B9_7F4A_7C15  # 2^64 divided by the golden ratio, made odd
ROUNDS = ((30, 0xBF58_476D_1CE4_E5B9), (27, 0x94D0_49BB_1331_11EB))  # mix: shift, xor, multiply
LAST_SHIFT = 31
FNV_BASIS, FNV_PRIME = 0xCBF2_9CE4_8422_2325, 0x100_0000_01B3
WIDEST = 2**32  # a bounded integer is made of the 32 high bits of a word


def key(seed: SupportsIndex, purpose: str, *steps: SupportsIndex) -> int:
    """Return the 64-bit key of the stream for a purpose, a seed and the steps so far.

    The purpose is hashed with FNV-1a (Fowler, Noll and Vo); the seed and every step are then mixed
    in, in order. Seeds may be negative or wider than 64 bits, and all of them differ.
    Raises TypeError where the seed or a step is no integer.

    >>> key(0, "dropout", 3) == key(0, "dropout", 3)
    True
    >>> key(0, "dropout", 3) == key(0, "dropout", 4)
    False
    """
    state = _hashed(purpose)
    for name, part in zip(["seed"] + ["step"] * len(steps), (seed, *steps), strict=True):
        state = _absorb(state, _integer(name, part))
    return state


def words(key: SupportsIndex, count: SupportsIndex, start: SupportsIndex = 0) -> Words:
    """Return words `start` to `start + count - 1` of a stream:  () -> (count,), uint64.

    Word k is mix(key + (k + 1) * GAMMA) mod 2^64. Raises ValueError where count is negative.

    >>> words(1234567, 2)
    array([6457827717110365317, 3203168211198807973], dtype=uint64)
    >>> words(1234567, 1, start=1)
    array([3203168211198807973], dtype=uint64)
    """
    count = _size("count", count)
    first = (_integer("key", key) + (_integer("start", start) + 1) * GAMMA) & MASK
    counter = np.arange(count, dtype=np.uint64)  # arrays wrap around silently, scalars would warn
    word = counter * np.uint64(GAMMA) + np.uint64(first)
    for shift, factor in ROUNDS:
        word ^= word >> np.uint64(shift)
        word *= np.uint64(factor)
    word ^= word >> np.uint64(LAST_SHIFT)
    return word


def uniform(key: SupportsIndex, shape: Shape) -> NDArray[np.float64]:
    """Return numbers spread evenly over [0, 1):  () -> shape, float64.

    u = (word >> 11) * 2^-53, so that every value is a multiple of 2^-53 and 1 is never reached.

    >>> uniform(1234567, 2).round(3)
    array([0.35 , 0.174])
    """
    sizes = _sizes(shape)
    return _unit(words(key, prod(sizes))).reshape(sizes)


def normal(key: SupportsIndex, shape: Shape) -> NDArray[np.float64]:
    """Return numbers of the normal distribution with mean 0 and deviation 1:  () -> shape, float64.

    Two words make two numbers (Box and Muller 1958):
    r = sqrt(-2 log(1 - u)),  a = 2 pi v,  then r cos a and r sin a.

    >>> normal(1234567, 2).round(3)
    array([0.428, 0.824])
    """
    sizes = _sizes(shape)
    count = prod(sizes)
    pairs = _unit(words(key, count + count % 2)).reshape(-1, 2)
    radius = np.sqrt(-2.0 * np.log(1.0 - pairs[:, 0]))  # u < 1, so there is no logarithm of 0
    angle = 2.0 * np.pi * pairs[:, 1]
    drawn = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return drawn.reshape(-1)[:count].reshape(sizes)


def noise(key: SupportsIndex, shape: Shape) -> NDArray[np.float64]:
    """Return normal numbers that a compiled loop repeats bit for bit:  () -> shape, float64.

    As `normal` makes them, of the same words, but with a logarithm, a sine and a cosine made of
    +, -, × and / alone, each within 3e-16.

    >>> noise(1234567, 2).round(3)
    array([0.428, 0.824])
    """
    sizes = _sizes(shape)
    count = prod(sizes)
    pairs = _unit(words(key, count + count % 2)).reshape(-1, 2)
    u, v = pairs.T  # what `bell` is made of takes arrays as well
    both = [bell(u, v, np.float64(odd)) for odd in (0, 1)]  # type: ignore[arg-type]
    return np.stack(both, axis=1).reshape(-1)[:count].reshape(sizes)


def integers(key: SupportsIndex, high: SupportsIndex, shape: Shape) -> NDArray[np.int64]:
    """Return integers 0 to high - 1, about equally likely:  () -> shape, int64.

    j = ((word >> 32) * high) >> 32, whose bias is below high * 2^-32 (Lemire 2019, without the
    rejection: it would make the number of words depend on their values).
    Raises ValueError where high is not in 1 to 2^32.

    >>> integers(1234567, 6, 4)
    array([2, 1, 3, 1])
    """
    bound = _integer("high", high)
    if not 1 <= bound <= WIDEST:
        raise ValueError(f"high is {bound}, expected 1 to 2^32\n  try: a high of at least 1")
    sizes = _sizes(shape)
    return _bounded(words(key, prod(sizes)), np.uint64(bound)).reshape(sizes)


def permutation(key: SupportsIndex, n: SupportsIndex) -> NDArray[np.int64]:
    """Return 0 to n - 1 in a random order:  () -> (n,), int64.

    Fisher and Yates, as in Knuth's algorithm P: for i = n - 1 down to 1, swap places i and
    j = ((word >> 32) * (i + 1)) >> 32, where the first i takes word 0 of the stream.
    Raises ValueError where n is negative or above 2^32.

    >>> permutation(1234567, 5)
    array([2, 3, 4, 0, 1])
    """
    n = _size("n", n)
    if n > WIDEST:
        raise ValueError(f"n is {n}, expected at most 2^32\n  try: shuffling in parts")
    choices = np.arange(n, 1, -1, dtype=np.uint64)  # i + 1 for every i
    partners = _bounded(words(key, len(choices)), choices).tolist()
    order = list(range(n))  # a list, for it swaps several times faster than an array
    for i, j in zip(range(n - 1, 0, -1), partners, strict=True):
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


def _mix(word: int) -> int:
    """Return the finalizer of one word, as `words` computes it for an array."""
    for shift, factor in ROUNDS:
        word = ((word ^ (word >> shift)) * factor) & MASK
    return word ^ (word >> LAST_SHIFT)


def _hashed(text: str) -> int:
    """Return the 64-bit FNV-1a hash of a text; Python's own differs from one run to the next."""
    state = FNV_BASIS
    for byte in text.encode():
        state = ((state ^ byte) * FNV_PRIME) & MASK
    return state


def _absorb(state: int, part: int) -> int:
    """Return the state after mixing in an integer of any size, 64 bits at a time.

    The count of 64-bit limbs goes in first: else (2^64,) and (0, 1) would be the same parts.
    """
    limbs = part.bit_length() // 64 + 1  # room for the sign
    state = _mix((state + limbs * GAMMA) & MASK)
    for place in range(limbs):
        state = _mix(((state ^ (part >> 64 * place)) + GAMMA) & MASK)
    return state


def _unit(drawn: Words) -> NDArray[np.float64]:
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _bounded(drawn: Words, bound: Words | np.uint64) -> NDArray[np.int64]:
    half = np.uint64(32)
    return ((drawn >> half) * bound >> half).astype(np.int64)


def _integer(name: str, value: SupportsIndex) -> int:
    """Return a Python integer, and refuse what merely looks like one: True, 1.0, "1"."""
    try:
        if not isinstance(value, (bool, np.bool_)):
            return index(value)
    except TypeError:
        pass
    raise TypeError(f"{name} is {value!r}, expected an integer\n  try: {name}=0, or int(...)")


def _size(name: str, value: SupportsIndex) -> int:
    size = _integer(name, value)
    if size < 0:
        raise ValueError(f"{name} is {size}, expected 0 or more\n  try: {name}={-size}")
    return size


def _sizes(shape: Shape) -> tuple[int, ...]:
    if isinstance(shape, Sequence):
        return tuple(_size("shape", size) for size in shape)
    return (_size("shape", shape),)
