"""The truth tables of two inputs, in the order 00, 01, 10, 11."""

import numpy as np
from numpy.typing import NDArray

Table = tuple[NDArray[np.float64], NDArray[np.float64]]


def logic_and() -> Table:
    """Return the truth table of "both", which one straight line divides:  (4, 2) and (4, 1).

    >>> X, y = logic_and()
    >>> y.ravel()
    array([0., 0., 0., 1.])
    """
    return _table(0, 0, 0, 1)


def logic_or() -> Table:
    """Return the truth table of "at least one", which one line divides:  (4, 2) and (4, 1).

    >>> X, y = logic_or()
    >>> y.ravel()
    array([0., 1., 1., 1.])
    """
    return _table(0, 1, 1, 1)


def xor() -> Table:
    """Return the truth table of "exactly one", which no line divides:  (4, 2) and (4, 1).

    It needs a hidden layer, as Minsky and Papert showed ("Perceptrons", 1969).

    >>> X, y = xor()
    >>> y.ravel()
    array([0., 1., 1., 0.])
    """
    return _table(0, 1, 1, 0)


def _table(*outputs: int) -> Table:
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
    return X, np.array(outputs, dtype=np.float64).reshape(4, 1)
