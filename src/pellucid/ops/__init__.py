"""Every op, one entry each, and the public functions made of them."""

from pellucid.graph import FUNCTIONS
from pellucid.ops.arithmetic import *
from pellucid.ops.arrays import *
from pellucid.ops.elementwise import *
from pellucid.ops.linear import *
from pellucid.ops.loss import *
from pellucid.ops.reduce import *
from pellucid.ops.shape import *

# an op is public by being entered: no second list of names to keep
__all__ = sorted(  # pyright: ignore
    name
    for name, thing in list(globals().items())
    if FUNCTIONS.get(name) is thing and not getattr(getattr(thing, "op", None), "internal", False)
)
