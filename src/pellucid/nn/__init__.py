"""Layers and initializers: settings and formulas, no arrays."""

from pellucid.nn.init import Constant, Glorot, He, Initializer, LeCun, Normal, Orthogonal, Xavier
from pellucid.nn.layer import Activation, Dense, Dropout, Flatten, Layer, Parameter, Shared

__all__ = [
    "Activation",
    "Constant",
    "Dense",
    "Dropout",
    "Flatten",
    "Glorot",
    "He",
    "Initializer",
    "Layer",
    "LeCun",
    "Normal",
    "Orthogonal",
    "Parameter",
    "Shared",
    "Xavier",
]
