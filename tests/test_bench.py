"""The benchmarks' arithmetic and their page; nothing is timed here."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pc
from pellucid import optim

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the folder bench/ stands beside src/, and is not installed

from bench import environment, jobs, stats, text, verdict  # noqa: E402
from bench import optimizers as section  # noqa: E402
from bench.__main__ import options_of, parsed, sections_of, write  # noqa: E402
from bench.choices import CHOICES, OPTIMIZERS, SCHEDULES  # noqa: E402
from bench.contestants import KNOWN  # noqa: E402
from bench.contestants.ours import Printed  # noqa: E402
from bench.contestants.plain import ByHand  # noqa: E402
from bench.measure import Run, proof_epochs, rounds  # noqa: E402
from bench.pool import WorkerError  # noqa: E402
from bench.report import rendered  # noqa: E402
from bench.sections import idle, points  # noqa: E402


@pytest.mark.parametrize("module", [stats, text], ids=["stats", "text"])
def test_examples(module):
    assert doctest.testmod(module).failed == 0


# -- arithmetic ------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [1e-7, 1e-4, 0.01, 0.29, 5.0])
@pytest.mark.parametrize("call", [0.0, 0.001, 0.05])
def test_calibrated_lasts_long_enough(each, call):
    count = stats.calibrated(lambda n: call + n * each, 0.3)
    assert call + count * each >= 0.9 * 0.3
    assert count == 1 or call + count * each <= 0.6


def test_calibration_ends_where_nothing_takes_time():
    assert stats.calibrated(lambda n: 0.0, 0.3, most=10**6) == 10**6


def test_ratios_go_by_round():
    found = stats.ratios([10.0, 40.0, 90.0], [1.0, 2.0, 3.0])
    assert (found.min, found.median, found.max) == (10.0, 20.0, 30.0)


def test_ratios_of_fewer_rounds():
    assert stats.ratios([2.0], [1.0, 5.0]).max == 2.0


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponent(power):
    xs = [1, 4, 16, 256]
    assert math.isclose(stats.exponent(xs, [3 * x**power for x in xs]), power, abs_tol=1e-12)


def test_strays():
    losses = {"a": 0.5, "b": 0.51, "idle": 2.0, "nan": math.nan, "early": 0.9}
    assert set(stats.strays(losses, 2.0, 0.1)) == {"idle", "nan", "early"}
    assert "did not fall" in stats.strays(losses, 2.0, 0.1)["idle"]


def test_an_idle_contestant_is_found_out():
    alike = {"pellucid": 0.1, "pytorch": 0.11, "jax-scan": 0.1, "sklearn": 0.01}
    assert not idle(alike, {"pellucid": 0.02}, 1.0)
    assert set(idle(alike | {"jax-scan": 1.0}, {"pytorch": 1.2}, 1.0)) == {"jax-scan", "pytorch"}


# -- jobs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [*jobs.JOBS.values(), jobs.SMALL], ids=lambda job: job.key)
def test_data_fit_the_network(job):
    X, y = jobs.data(job)
    assert X.shape == (job.rows, job.sizes[0])
    assert X.dtype == job.dtype
    assert len(y) == job.rows
    assert job.loss == "mse" or set(np.unique(y)) <= set(range(job.sizes[-1]))
    assert job.parameters == sum(W.size + b.size for W, b in jobs.initial(job))
    assert job == jobs.from_json(json.loads(json.dumps(vars(job))))


def test_every_target_has_its_network():
    assert set(verdict.TRAINING) <= set(jobs.JOBS)
    assert {job.key for _, _, job in points()} == {"middle"}


def test_flops_are_those_of_the_products():
    job = jobs.JOBS["xor"]
    assert job.products == [(4, 2, 4), (2, 4, 4), (4, 4, 1), (4, 4, 1), (4, 1, 4)]
    assert job.flops == 64 + 64 + 32 + 32 + 32


@pytest.mark.parametrize("key", ["xor", "adam20"])
def test_contestants_train_alike(key):
    job = jobs.JOBS[key]
    (X, y), start = jobs.data(job), jobs.initial(job)
    before, losses = jobs.loss(job, start, X, y), {}
    for make in (Printed, ByHand):
        one = make(job, X, y, 1)
        one.start_over(start)
        one.train(min(300, proof_epochs(job)))
        losses[make.__name__] = jobs.loss(job, one.weights(), X, y)
    assert not stats.strays(losses, before, 0.05)


def test_the_loss_is_that_of_the_model():
    job = jobs.JOBS["adam20"]
    (X, y), start = jobs.data(job), jobs.initial(job)
    one = Printed(job, X, y, 1)
    one.start_over(start)
    assert math.isclose(jobs.loss(job, start, X, y), one.model.loss(X, y), rel_tol=1e-5)


# -- running ---------------------------------------------------------------------------------------


def test_rounds_interleave_and_drop_who_fails(tmp_path):
    order = []

    def turn(name):
        def act():
            order.append(name)
            if name == "b" and len(order) > 3:
                raise WorkerError("b: died")
            return 1.0

        return act

    run = Run(options_of(parsed([])), None, [])
    found = rounds(run, {name: turn(name) for name in "ab"}, 3)
    assert order == ["a", "b", "a", "b", "a"]
    assert found == {"a": [1.0] * 3}
    assert run.results["warnings"] == ["b: died"]


def test_arguments():
    assert not options_of(parsed([])).partial
    quick = options_of(parsed(["--quick"]))
    assert quick.partial and quick.threads == [1]
    only = parsed(["--only", "xor,adam784", "--threads", "1"])
    assert options_of(only).keys == ["xor", "adam784"]
    assert "cold" not in sections_of(only)


@pytest.mark.parametrize("wrong", [["--only", "nonsense"], ["--sections", "nonsense"]])
def test_unknown_names_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        parsed(wrong)
    assert "unknown: nonsense" in capsys.readouterr().err


def test_what_pins_kernels_is_cleared(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert environment.found()["OPENBLAS_CORETYPE"] == "Haswell"
    given = environment.variables(2)
    assert "OPENBLAS_CORETYPE" not in given
    assert given["OMP_NUM_THREADS"] == given["NUMBA_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in environment.variables(None)


# -- the page --------------------------------------------------------------------------------------


def figure(section, key="xor", title="2-4-1, 4 rows, SGD", threads=1, **more):
    return {"section": section, "key": key, "title": title, "threads": threads, "unit": "s"} | more


def canned():
    ours, slower, faster = [1e-6, 2e-6, 1e-6], [9e-4, 2e-3, 8e-4], [5e-7, 1.1e-6, 4e-7]
    step = {"pellucid": ours, "pytorch": slower, "jax-scan": faster}
    proof = {"key": "xor", "title": "2-4-1", "threads": 1, "before": 0.29, "wrong": {}}
    small = {"pellucid": [0.5], "import-torch": [1.0], "nothing": [0.01]}
    return {
        "machine": {
            "cpu": "a CPU", "cores": 2, "system": "Linux", "python": "3.11.0",
            "versions": {"numpy": "2.4.0"}, "compiler": "", "cleared": {"OMP_NUM_THREADS": "7"},
            "date": "2026-01-01T00:00", "load": [0.1, 0.2, 0.3],
        },
        "missing": {"sklearn": "sklearn is not installed"},
        "options": {"partial": False, "seconds": 0.3, "rounds": 3},
        "minutes": 12.0,
        "warnings": ["mind this"],
        "figures": [
            figure("training", values=step, batches=1, first={"pellucid": 1.2}),
            figure("prediction", title="2-4-1, 1 row", rows=1, values=step),
            figure("cold", title="digits, 20 epochs", values=small),
            figure("memory", what="rise", values={"pellucid": [2e6], "pytorch": [8e6]}),
            figure("memory", what="peak", values={"pellucid": [9e7], "pytorch": [3e8]}),
            *(
                figure("growth", axis="batch", x=n, title=f"batch {n}: net",
                       values={"pellucid": [n * 1e-6], "pytorch": [1e-4]})
                for n in (1, 4, 16)
            ),
            figure("precision", dtype="float32", title="net, float32", values=step),
            figure("precision", dtype="float64", title="net, float64", values=step),
        ],
        "compile": [
            {"key": "xor", "title": "2-4-1", "cold": [1.4], "warm": [0.2], "predict cold": [0.3],
             "predict warm": [0.1]}
        ],
        "limits": [
            {"key": "xor", "threads": 1, "flops": 224, "products": {"mm-numpy": 4e-7},
             "moved": 204, "bandwidth": 1e10}
        ],
        "proof": [
            proof | {"alike": {"pellucid": 0.1, "pytorch": 0.1}, "timed": {"pellucid": 0.01}}
        ],
    }  # fmt: skip


def test_the_page_says_it_all():
    page = rendered(canned())
    for part in ("Targets", "Training", "Prediction", "Cold start", "Compile time", "Peak memory",
                 "How cost grows", "float32 and float64", "Did everyone train?",
                 "Where we lose"):  # fmt: skip
        assert f"\n## {part}\n" in page
    assert "900.00" not in page
    assert "| PyTorch, eager | 900 µs | 900 µs | 900× (800-1,000) |" in page
    assert "`OMP_NUM_THREADS=7`" in page
    assert "scikit-learn: sklearn is not installed" in page
    assert "- mind this" in page
    assert "| **exponent** | 1.00 (1.00) | 0.00 (0.00) |" in page
    assert "nan" not in page


def test_tables_are_whole():
    for block in rendered(canned()).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("| ")]
        assert len({line.count(" | ") for line in rows}) <= 1


def test_targets_are_judged_by_medians():
    by = {(v.what.split(",")[0], v.target): v.met for v in verdict.targets(canned())}
    assert by["step", "≥ 700×"] is True
    assert by["step", "≥ 15×"] is False
    assert by["compile", "≤ 1.50 s"] is True
    assert by["compiled before", "≤ 150 ms"] is False
    assert by["digits", "> 1×"] is True


def test_compiling_is_not_judged_where_nothing_was_compiled():
    results = canned() | {"fallback": True}
    assert [v.met for v in verdict.targets(results) if "compile" in v.what] == [None, None]


def test_no_loss_is_hidden():
    found = verdict.losses(canned(), verdict.peer)
    assert {(loss.section, loss.who) for loss in found} == {
        ("training", "jax-scan"), ("prediction", "jax-scan"), ("precision", "jax-scan"),
    }  # fmt: skip
    assert [loss.ratio.median for loss in found] == sorted(loss.ratio.median for loss in found)
    assert "2.00×" in "\n".join(verdict.where_we_lose(canned()))


def test_who_did_not_train_is_marked():
    results = canned()
    results["proof"][0]["wrong"] = {"pytorch": "its loss did not fall"}
    assert "PyTorch, eager ⚠" in rendered(results)


def test_a_run_without_peers_is_a_page():
    results = copy.deepcopy(canned())
    for each in results["figures"]:
        each["values"] = {"pellucid": each["values"]["pellucid"]}
    results["proof"], results["limits"] = [], []
    page = rendered(results)
    assert "There is no figure in this run in which another's median is below ours." in page
    assert "not measured" in page


def test_files_are_written(tmp_path, capsys):
    assert write(canned(), tmp_path / "new") == 0
    assert json.loads((tmp_path / "new" / "results.json").read_text())["minutes"] == 12.0
    assert (tmp_path / "new" / "RESULTS.md").read_text().startswith("# Benchmarks\n")


# -- optimizers and schedules ----------------------------------------------------------------------


def test_every_optimizer_and_schedule_is_measured():
    made = [choice.ours(pc, choice.rate) for choice in OPTIMIZERS.values()]
    assert {type(o) for o in made} == set(optim.OPTIMIZERS)
    made = [choice.ours(pc, choice.rate) for choice in SCHEDULES.values()]
    assert {type(o.learning_rate) for o in made} == set(optim.SCHEDULES)
    titles = [choice.title for choice in CHOICES.values()]
    assert len(set(titles)) == len(titles)
    for key in CHOICES:
        job = section.job_of(key)
        assert job == jobs.from_json(json.loads(json.dumps(vars(job))))
        assert section.taking_part(CHOICES[key], section.NAMES)


@pytest.mark.parametrize("key", ["nadam", "lbfgs", "warm-up"])
def test_a_choice_trains(key):
    job = section.job_of(key)
    (X, y), start = jobs.data(job), jobs.initial(job)
    one = Printed(job, X, y, 1)
    one.start_over(start)
    one.train(1)
    assert jobs.loss(job, one.weights(), X, y) < jobs.loss(job, start, X, y)


@pytest.mark.conformance
@pytest.mark.parametrize("key", CHOICES)
def test_a_choice_is_pytorchs(key):
    """Both libraries are given the same optimizer: where nothing is shuffled, losses agree."""
    pytest.importorskip("torch", reason="PyTorch is not installed: make conformance")
    from bench.contestants.pytorch import Eager

    if CHOICES[key].theirs is None:
        pytest.skip("PyTorch has no such optimizer")
    job = dataclasses.replace(section.job_of(key), batch=2048, shuffle=False, dtype="float64")
    (X, y), start, losses = jobs.data(job), jobs.initial(job), []
    for make in (Printed, Eager):
        one = make(job, X, y, 1)
        one.start_over(start)
        one.train(1 if CHOICES[key].whole else 3)
        losses.append(jobs.loss(job, one.weights(), X, y))
    assert math.isclose(*losses, rel_tol=1e-8)


def test_the_page_has_every_optimizer():
    values = {"pellucid": [1e-4], "pytorch": [2e-3], "pytorch-foreach": [5e-5]}
    more = {"losses": {"pellucid": 0.5, "pytorch": 0.51}, "before": 2.3, "wrong": {}}
    whole = {"pellucid-numpy": [0.1], "pytorch": [0.2]}
    results = canned()
    results["figures"] += [
        figure("optimizers", "adam", "Adam", values=values, **more),
        figure("optimizers", "lbfgs", "LBFGS", values=whole, **more),
        figure("optimizers", "cosine", "Cosine", values=values, **more),
    ]
    page = rendered(results)
    assert "\n## Optimizers and schedules\n" in page
    assert "| Adam | 100 µs | - | 20.0× | **0.500×** | 0.5000 | 0.5100 |" in page
    assert "| LBFGS | 100 ms | - | 2.00× | - | - | 0.5100 |" in page
    assert "| Cosine | 100 µs | 20.0× | **0.500×** | 0.5000 | 0.5100 |" in page
    assert "| optimizers | Adam | PyTorch, eager, foreach=True |" in page


def test_every_contestant_is_named_once():
    titles = [entry.title for entry in KNOWN.values()]
    assert len(set(titles)) == len(titles)
