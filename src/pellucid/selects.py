"""Choices between two numbers for compiled loops, of either precision: NaN passes through them."""

from typing import Any


def kernel(f: Any) -> Any:
    """Mark a function that is compiled as mathematics."""
    return f


@kernel
def maximum(x, y):
    """The larger of two; NaN where one is."""
    return x if (x > y) | (x != x) else y


@kernel
def minimum(x, y):
    """The smaller of two; NaN where one is."""
    return x if (x < y) | (x != x) else y


@kernel
def clip(x, low, high):
    """x, limited to [low, high]; NaN stays NaN."""
    return minimum(maximum(x, low), high)


@kernel
def mix(word):
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@kernel
def absorb(state, step):
    state = mix(state + np.uint64(0x9E3779B97F4A7C15))
    return mix((state ^ step) + np.uint64(0x9E3779B97F4A7C15))


@kernel
def word(key, k):
    return mix(key + (k + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


@kernel
def unit(drawn):
    return np.float64(drawn >> np.uint64(11)) * 2.0**-53


@kernel
def shuffle(order, key):
    n = len(order)
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        j = np.int64(
            ((word(key, np.uint64(n - 1 - i)) >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32)
        )
        order[i], order[j] = order[j], order[i]
