"""Neural networks one can see through."""

from pellucid import ops
from pellucid.graph import Node, value
from pellucid.grad import *
from pellucid.ops import *
