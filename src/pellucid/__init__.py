"""Neural networks one can see through: what trains is what is printed, explained and checked."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pellucid._version import __version__ as __version__

if TYPE_CHECKING:
    from pellucid.face import *


def __getattr__(name: str) -> Any:
    """Load the library when its first name is asked for, so that importing it costs nothing."""
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    face = import_module(f"{__name__}.face")
    now = {known: getattr(face, known) for known in face.NAMES if known not in face.LATER}
    globals().update(now, __all__=face.NAMES)
    if name in face.LATER:
        module = import_module(f"{__name__}.{face.LATER[name]}")
        globals()[name] = getattr(module, name)
    if name not in globals():
        raise AttributeError(_unknown(name, face.NAMES))
    return globals()[name]


def _unknown(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    return f"pellucid has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def __dir__() -> list[str]:
    return [*__getattr__("__all__"), "__version__"]
