"""What every op promises, op by op; `make faults` plants faults against the same checks."""

from __future__ import annotations

import contracts
import numpy as np
import pytest
import test_ops

import pellucid as pc
from pellucid.op import OPS
from pellucid.rules import FOLDS, RULES

named = pytest.mark.parametrize("case", contracts.CASES, ids=map(test_ops._id, contracts.CASES))
BENT = [case for case in contracts.CASES if test_ops._differentiable(case)]


@named
def test_value_is_that_of_a_second_opinion(case):
    contracts.check_value(case)


@pytest.mark.parametrize("case", BENT, ids=map(test_ops._id, BENT))
def test_a_gradient_is_pulled_back_by_the_op_alone(case):
    contracts.check_pullback(case, seed=4)
    contracts.check_pullback(case, seed=5)


@pytest.mark.parametrize("name", contracts.ALONE)
def test_ops_that_have_a_check_of_their_own(name):
    for check in contracts.ALONE[name]:
        check()


@pytest.mark.parametrize("case", contracts.MORE, ids=map(test_ops._id, contracts.MORE))
def test_what_the_examples_leave_out(case):
    test_ops.test_shape_and_dtype_rules_are_numpys(case, "float64")
    if case in BENT:
        test_ops.test_slope_of_the_slope(case)


def test_every_op_rule_and_fold_has_checks():
    assert all(any(True for _ in contracts.op_checks(name)) for name in OPS)
    assert {fold.name for fold in FOLDS} == set(contracts.FOLDED)
    assert all(any(True for _ in contracts.rule_checks(rule.name)) for rule in RULES)


def test_what_one_reader_hides_and_another_reads_has_its_slope():
    x = pc.value([0.5, -1.0, 2.0], "x")
    for f in (pc.exp, pc.tanh, pc.sqrt):
        a = f(pc.absolute(x))
        left = pc.where(x > 0, a, 0)
        right = pc.where(x > 1, 0, 2 * a)
        share = np.array([3.0, 2.0, 1.0])  # how often each element is read
        plain = pc.grad(pc.sum(a * share), x)
        np.testing.assert_allclose(pc.grad(pc.sum(left + right), x).value, plain.value, rtol=1e-14)
