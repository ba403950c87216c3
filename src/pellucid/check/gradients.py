"""`check_gradients`: every claimed slope against differences, and the culprit by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from pellucid.check.gradient_report import GradientReport, checked
from pellucid.check.kinks import Finding
from pellucid.check.problem import Place, Problem, along, on_graph
from pellucid.check.search import examined
from pellucid.check.targets import Target, is_gate, of_function, of_gate, of_model, of_node
from pellucid.errors import ArgumentError, DataError, DtypeError
from pellucid.graph import Array, Node
from pellucid.model import Sequential
from pellucid.settings import as_seed

ELEMENTS = 2000  # numbers that are all checked singly; beyond, directions do most of it
SMALL = 16  # numbers for which every second derivative is checked singly
DIRECTIONS = 2  # for second derivatives of more
ROUNDED = 1e-13  # what a rewrite used in training may be off, for numbers of size 1


def check_gradients(
    target: Any,
    *args: Any,
    wrt: Any = None,
    tolerance: float = 1e-5,
    order: int = 1,
    elements: int | None = None,
    seed: int = 0,
    gradients: Any = None,
) -> GradientReport:
    """Compare a gradient with differences of the loss, and name the parameter and element at fault.

        n = lim (f(w + h) - f(w - h)) / 2h;   |a - n| / max(|a| + |n|, 1e-8) below 1e-5 by element,
        ‖a - n‖ / max(‖a‖ + ‖n‖, 1e-8) below 1e-7 by parameter

    All in float64, whatever the model's precision; the target is not changed. A corner of the
    function (ReLU at 0, ties of a maximum) and a slope that rounding hides are said, not failed.

    Args: `target`, a model, then X and y (penalties included, without dropout); a node; a function
    and its arguments, of which all real numbers move; or an object with `forward(*inputs)` and
    `backward(g)`, and its inputs. `wrt`, names of parameters, or arguments by name or number;
    `tolerance`, of the relative error; `order`, 2 to check the gradient's own derivative;
    `elements`, how many numbers are all checked one by one (2,000), beyond which random directions
    tell where to look; `seed`, of the directions; `gradients`, the gradient to check in place of
    this library's: values by name, or a function of the same arguments (of a model: of its
    parameters by name, X and y).
    Returns: a `GradientReport`, true where no slope is wrong.
    Raises: ArgumentError for settings that cannot be meant, unknown names and a function that is
    random; ShapeError where the result is not a single number, DataError where a number or the
    loss is not finite, DtypeError where no argument can move.

    Central differences after Richardson (1911) and Ridders (1982).

    >>> report = check_gradients(lambda w: np.sum(np.tanh(w) ** 2), np.array([0.5, -1.0]))
    >>> report.ok, report.parameters["w"].verdict, report.max_relative_error < 1e-9
    (True, 'ok', True)
    """
    _check_settings(tolerance, order, elements, gradients)
    seed, count = as_seed(seed), ELEMENTS if elements is None else elements
    found = _target(target, args, gradients, seed)
    problem, asked = found.problem, found.wrt(wrt)
    places = problem.named(asked)
    rows: dict[str, list[Finding]] = {p.name: [] for p in places}
    problems = [("", problem)] if order == 1 else list(_second(found, places, seed))
    for label, one in problems:
        _check_finite(one)
        for name, more in examined(one, places, tolerance, count, seed).items():
            rows[name] += [replace(row, along=label) for row in more]
    return _report(found, problems, places, rows, tolerance, order)


def _check_settings(tolerance: Any, order: Any, elements: Any, gradients: Any) -> None:
    number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    if not number or not 0 < float(tolerance) < 1:
        raise ArgumentError(f"tolerance is {tolerance!r}", "a share between 0 and 1, such as 1e-5")
    if isinstance(order, bool) or order not in (1, 2):
        raise ArgumentError(f"order is {order!r}", "1 for slopes, 2 for second derivatives")
    whole = isinstance(elements, int) and not isinstance(elements, bool)
    if elements is not None and (not whole or elements < 0):
        raise ArgumentError(f"elements is {elements!r}", "how many to check one by one: 2000")
    if gradients is not None and order == 2:
        raise ArgumentError(
            "second derivatives of a gradient that was given", "leave out order=2, or gradients="
        )


def _target(target: Any, args: Sequence[Any], gradients: Any, seed: int) -> Target:
    """Return what is to be checked as a problem."""
    if isinstance(target, Sequential):
        if len(args) != 2:
            raise ArgumentError(
                f"a model is checked on samples, X and y; {len(args)} arguments are given",
                "pc.check_gradients(model, X, y)",
            )
        return of_model(target, args[0], args[1], gradients)
    if isinstance(target, Node):
        return of_node(target)
    if is_gate(target):
        if not args:
            raise ArgumentError("a gate is checked at inputs", "pc.check_gradients(gate, 2.0, 3.0)")
        return of_gate(target, args, seed)
    if callable(target):
        if not args:
            raise ArgumentError("a function is checked at arguments", "pc.check_gradients(f, x)")
        return of_function(target, args, gradients)
    raise DtypeError(
        f"{type(target).__name__} has no gradient to check",
        "give a model, a node, a function, or an object with forward and backward",
    )


def _check_finite(problem: Problem) -> None:
    value = problem.at()[0]
    if not np.isfinite(value):
        raise DataError(
            f"what is differentiated is {value} here", "a slope is checked where it is finite"
        )


def _second(found: Target, places: Sequence[Place], seed: int) -> Iterator[tuple[str, Problem]]:
    """Yield the slopes along directions, whose own gradients are the second derivatives.

    Along each axis where there are few, so that every second derivative is compared singly.
    """
    if found.traced is None:
        raise ArgumentError(
            "second derivatives need a graph, which is not known of this target",
            "give a model, a node, or a function made of functions that this library knows",
        )
    problem, traced = found.problem, found.traced
    for label, direction in _directions(problem, places, seed):
        yield (
            label,
            on_graph(problem.flat, problem.places, along(traced, direction, problem.places)),
        )


def _directions(
    problem: Problem, places: Sequence[Place], seed: int
) -> Iterator[tuple[str, Array]]:
    total, rng = sum(p.size for p in places), np.random.default_rng(seed)
    if total <= SMALL:
        for p in places:
            for k in range(p.start, p.stop):
                axis = np.zeros(problem.flat.size)
                axis[k] = 1.0
                yield f"{p.name}{list(p.index(k)) if p.shape else ''}", axis
        return
    for k in range(DIRECTIONS):
        yield f"direction {k + 1}", rng.standard_normal(problem.flat.size)


def _report(
    found: Target,
    problems: Sequence[tuple[str, Problem]],
    places: Sequence[Place],
    rows: dict[str, list[Finding]],
    tolerance: float,
    order: int,
) -> GradientReport:
    problem = found.problem
    error, ok = _form_error(problem) if order == 1 else (None, True)
    forms = [found.form] if order == 1 else ["the gradient's own derivative, Hessian · direction"]
    if problem.trained is not None and order == 1:
        forms.append("its plain form; and the simplified one, which trains, against that")
    return GradientReport(
        {p.name: checked(p, rows[p.name], tolerance) for p in places},
        order, tolerance, tuple(forms), error, ok,
        sum(one.evaluations for _, one in problems), tuple(problem.notes),
    )  # fmt: skip


def _form_error(problem: Problem) -> tuple[float | None, bool]:
    """Return how far the gradient that trains is from the plain one, and whether that is rounding.

    The rules that simplify it state their error: an ulp or so of 1 where a unit is saturated.
    """
    if problem.trained is None:
        return None, True
    plain, trained = problem.slopes(), problem.trained()
    gap, norms = np.linalg.norm(plain - trained), np.linalg.norm(plain) + np.linalg.norm(trained)
    ratio = float(gap / norms) if norms > 0 else 0.0
    largest = max(1.0, float(np.max(np.abs(problem.flat), initial=0.0)))
    return ratio, ratio < 1e-7 or float(np.max(np.abs(plain - trained))) < ROUNDED * largest
