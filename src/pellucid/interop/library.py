"""Where PyTorch is imported: the one place."""

from __future__ import annotations

from typing import Any

from pellucid.errors import PellucidError


def library() -> Any:
    """Return the torch module, or say how to install it."""
    try:
        import torch
    except ImportError as error:
        raise PellucidError(
            f"this needs PyTorch, which cannot be imported: {error}",
            'pip install "pellucid[torch]"',
        ) from None
    return torch
