"""The handwritten digits that come with the package; DIGITS.md says whose they are."""

import os

import numpy as np
from numpy.typing import NDArray

FILE = os.path.join(os.path.dirname(__file__), "digits.npz")
DARKEST = 16  # a pixel counts the dark dots in a block of 4 by 4


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return 1,797 handwritten digits of 8 by 8 pixels:  X (1797, 64) in [0, 1], y (1797,).

    X = count / 16, in multiples of 1/16; row i is an image as `X[i].reshape(8, 8)`.
    These are the test images of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak
    1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0).

    >>> X, y = digits()
    >>> X.shape, float(X.max()), y[:5]
    ((1797, 64), 1.0, array([0, 1, 2, 3, 4]))
    """
    with np.load(FILE, allow_pickle=False) as stored:
        return stored["X"] / np.float32(DARKEST), stored["y"].astype(np.int64)
