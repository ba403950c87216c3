"""Every printer prints every op: what it prints runs, and gives the op's own numbers."""

from __future__ import annotations

import contracts
import numpy as np
import pytest
import test_ops

from pellucid.run import Runner, load
from pellucid.show.python import Program, Section, source

PRINTERS = {
    "python": lambda program: load(source(program), program.name),
    "buffers": lambda program: lambda *arrays: Runner(program)(*arrays, n=1),
}


@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("case", contracts.CASES, ids=map(test_ops._id, contracts.CASES))
def test_every_op_prints_and_runs(case, printer):
    node, leaves, arrays = test_ops._node(case)
    program = Program("printed", leaves, [Section("", {"result": node})], ["result"])
    with np.errstate(all="ignore"):
        got = PRINTERS[printer](program)(*arrays)
    np.testing.assert_array_equal(got, node.value)
    assert np.asarray(got).dtype == node.dtype
    assert all(len(line) <= 100 for line in source(program).splitlines())
