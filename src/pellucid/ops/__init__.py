"""Every op, one entry each, and the public functions made of them."""

from pellucid.graph import FUNCTIONS
from pellucid.ops.arithmetic import *
from pellucid.ops.arrays import *
from pellucid.ops.elementwise import *
from pellucid.ops.index import *
from pellucid.ops.linear import *
from pellucid.ops.loss import *
from pellucid.ops.reduce import *
from pellucid.ops.shape import *


def _offered(name: str) -> bool:
    entry = getattr(FUNCTIONS[name], "op", None)
    return not name.startswith("_") and not (entry and entry.internal)


# an op is public by being entered, under each of its names: no second list of names to keep
__all__ = sorted(filter(_offered, FUNCTIONS))
globals().update({name: FUNCTIONS[name] for name in __all__})
