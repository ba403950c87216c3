"""Every optimizer that PyTorch has, against PyTorch's: 100 steps in float64, 1e-10.

One row each: ours, PyTorch's made from the parameters by name, and what else the run needs. The
network, the batches and the loop are in `torch_peer.py`.
"""

from __future__ import annotations

import pytest
import torch_peer

import pellucid as pc

torch = pytest.importorskip(
    "torch", reason="PyTorch is the reference here: pip install -e '.[conformance]'"
)
pytestmark = pytest.mark.conformance


def plain(name, **settings):
    """PyTorch's optimizer of that name, on all parameters alike."""
    return lambda p: getattr(torch.optim, name)(p.values(), **settings)


CASES = {
    "sgd": (pc.SGD(0.1), plain("SGD", lr=0.1)),
    "momentum": (pc.SGD(0.05, 0.9), plain("SGD", lr=0.05, momentum=0.9)),
    "dampening": (pc.SGD(0.05, 0.9, 0.3), plain("SGD", lr=0.05, momentum=0.9, dampening=0.3)),
    "nesterov": (
        pc.SGD(0.05, 0.9, nesterov=True),
        plain("SGD", lr=0.05, momentum=0.9, nesterov=True),
    ),
    "adam": (pc.Adam(0.01), plain("Adam", lr=0.01)),
    "adam, other settings": (
        pc.Adam(0.02, 0.8, 0.95, 1e-6),
        plain("Adam", lr=0.02, betas=(0.8, 0.95), eps=1e-6),
    ),
}


@pytest.mark.parametrize("backend", ["numpy", "numba", "step"])
@pytest.mark.parametrize("loss", ["mse", "cce_logits"])
@pytest.mark.parametrize("name", CASES)
def test_a_hundred_steps_are_pytorchs(name, loss, backend):
    ours, theirs, *more = CASES[name]
    found = torch_peer.worst_gap(ours, theirs, loss=loss, backend=backend, **dict(*more))
    assert found <= torch_peer.LIMIT, found


def test_another_rate_is_seen():
    found = torch_peer.worst_gap(pc.Adam(0.01), plain("Adam", lr=0.0101))
    assert found > 1e4 * torch_peer.LIMIT
