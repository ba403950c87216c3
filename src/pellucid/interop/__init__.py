"""Models of other libraries: weights and networks to them and back, compared."""

import pellucid.interop.torch as torch

__all__ = ["torch"]
