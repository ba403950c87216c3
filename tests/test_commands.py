"""The commands at work: from a table to a model that is trained, judged, explained, used again."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.callbacks import EarlyStopping
from pellucid.cli import main
from pellucid.commands.catalog import COMMANDS
from pellucid.commands.judging import judged_classes, judged_values, tail
from pellucid.commands.options import Settings, settled
from pellucid.commands.rows import rows_of

FAST = ["--epochs", "4", "--layers", "6", "--backend", "numpy", "--no-report"]


def flats(n: int = 120, seed: int = 0) -> str:
    """A table with an identifier, a date, gaps, and a category that few rows have."""
    rng = np.random.default_rng(seed)
    lines = ["id,size,rooms,city,moved,rent"]
    for k in range(n):
        size, city = rng.uniform(25, 140), ["Bern", "Basel", "Zug"][rng.integers(3)]
        rooms = "" if k % 9 == 4 else f"{max(1, round(size / 30))}"
        rent = 500 + 14 * size + {"Bern": 0, "Basel": 100, "Zug": 500}[city] + rng.normal() * 40
        lines.append(
            f"{1000 + 3 * k},{size:.1f},{rooms},{city},2024-01-{1 + k % 28:02d},{rent:.0f}"
        )
    return "\n".join(lines) + "\n"


def flowers(n: int = 90, seed: int = 0) -> str:
    rng = np.random.default_rng(seed)
    lines = ["sepal;petal;kind"]
    for k in range(n):
        c = k % 3
        a, b = f"{c + rng.normal(5, 0.3):.2f}", f"{2 * c + rng.normal(1, 0.3):.2f}"
        lines.append(f"{a};{b};{['setosa', 'versicolor', 'virginica'][c]}".replace(".", ","))
    return "\n".join(lines) + "\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: Any) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flats.csv").write_text(flats())
    (tmp_path / "flowers.csv").write_text(flowers())
    return tmp_path


@pytest.fixture
def said(capsys: Any) -> Any:
    """Run a command that is to succeed; return what it prints."""

    def run(*typed: str, code: int = 0) -> str:
        assert main(list(typed)) == code, capsys.readouterr().err
        return str(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(capsys: Any) -> Any:
    """Run a command that is to be refused; return its one line."""

    def run(*typed: str) -> str:
        capsys.readouterr()
        assert main(list(typed)) == 2
        told = capsys.readouterr()
        assert told.err.startswith("pellucid: ")
        assert told.err.count("\n") == 1
        return str(told.err)

    return run


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# -- train -----------------------------------------------------------------------------------------


def test_a_table_in_a_trained_model_out(here: Path, said: Any) -> None:
    out = said("train", "flats.csv", "--target", "rent", *FAST)
    for words in (
        "flats.csv: 120 rows, 6 columns",
        "target 'rent': regression",
        "numbers size, rooms; categories city (3)",
        "column 'id' is left out: it looks like an identifier",
        "column 'moved' is left out: it holds dates (2024-01-01)",
        "column 'rooms' has 13 missing values (lines 6, 15, 24, 33 and 9 more)",
        "missing numbers are filled with the median of the training rows, and marked",
        "split: 78 rows to learn from, 18 to stop by, 24 to judge by (seed 0)",
        "model: 3 columns → 4 → 6 → 6 → 1",
        "epoch 4/4",
        "on 24 rows held out:",
        "always 1", "the mean of the training rows",
        "written to flats-run/: config.toml, history.csv, log.txt, model.safetensors, run.json",
    ):  # fmt: skip
        assert words in out
    before = out.partition("epoch 1/4")[0]
    assert "is left out" in before
    assert "missing values" in before


def test_what_stands_in_the_run_folder(here: Path, said: Any) -> None:
    out = said("train", "flowers.csv", "--target", "kind", *FAST, "--seed", "3")
    folder = here / "flowers-run"
    told = json.loads((folder / "run.json").read_text())
    assert (told["status"], told["task"], told["seed"]) == ("done", "classification", 3)
    assert told["columns"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert told["rows"] == {"train": 59, "validation": 13, "test": 18}
    rows = rows_of(settled(COMMANDS["train"], {}, "flowers-run/config.toml"))
    counts = np.bincount(rows.y[rows.train].astype(int))
    assert told["guess"]["frequencies"] == pytest.approx((counts / 59).tolist(), rel=1e-12)
    assert told["data"]["bytes"] == (here / "flowers.csv").stat().st_size
    assert told["versions"]["pellucid"] == pc.__version__
    assert told["versions"]["numpy"] == np.__version__
    assert told["epochs"] == 4
    assert set(told["scores"]["model"]) == {"accuracy", "mean recall", "log loss"}
    config = tomllib.loads((folder / "config.toml").read_text())
    assert (config["seed"], config["layers"], config["target"]) == (3, [6], "kind")
    assert set(config) <= set(COMMANDS["train"].keys)
    history = table(folder / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(history[0])
    assert float(history[-1]["loss"]) < float(history[0]["loss"])
    log = (folder / "log.txt").read_text()
    assert all(line in out for line in log.splitlines())
    assert "split: 59 rows" in log
    model = pc.load(folder / "model.safetensors")
    assert model.predict([[5.0, 1.0]]).shape == (1, 3)
    assert model.predict_classes([[5.0, 1.0]])[0] in ("setosa", "versicolor", "virginica")


def test_the_report_shows_the_model(here: Path, said: Any) -> None:
    said("train", "flowers.csv", "--target", "kind", "--epochs", "2", "--layers", "4")
    page = (here / "flowers-run" / "report.html").read_text()
    assert "kind, from flowers.csv" in page
    assert "Normalize" in page


def test_the_run_folder_does_it_again(here: Path, said: Any) -> None:
    """The config alone, and the same options, give the same numbers to the last bit."""
    said("train", "flats.csv", "--target", "rent", *FAST, "--seed", "5", "--dropout", "0.3")
    first = (here / "flats-run" / "model.safetensors").read_bytes()
    said("train", "--config", "flats-run/config.toml", "--out", "again")
    assert (here / "again" / "model.safetensors").read_bytes() == first
    said("train", "--config", "flats-run/config.toml", "--out", "other", "--seed", "6")
    assert (here / "other" / "model.safetensors").read_bytes() != first


def test_labels_that_are_numbers_stay_numbers(here: Path, said: Any) -> None:
    rows = [f"{k * k / 7},{3 + k % 2}" for k in range(40)]
    (here / "t.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    said("train", "t.csv", "--target", "y", *FAST)
    found = pc.load(here / "t-run" / "model.safetensors").predict_classes([[1.0], [2.0]])
    assert found.dtype == np.int64
    assert set(found.tolist()) <= {3, 4}
    assert set(said("predict", "t-run", "t.csv").split("\n")[1][:1]) <= {"3", "4"}


def test_options_reach_the_model(here: Path, said: Any) -> None:
    said(
        "train", "flowers.csv", "--target", "kind", "--layers", "5,4", "--activation", "tanh",
        "--dropout", "0.1", "--l2", "0.01", "--optimizer", "sgd", "--learning-rate", "0.3",
        "--dtype", "float64", "--seed", "7", "--epochs", "3", "--batch-size", "20", "--backend",
        "numpy", "--no-report",
    )  # fmt: skip
    model = pc.load(here / "flowers-run" / "model.safetensors")
    assert model.layers == (
        pc.Normalize(columns=(0, 1)),
        pc.Dense(5, "tanh", l2=0.01), pc.Dropout(0.1),
        pc.Dense(4, "tanh", l2=0.01), pc.Dropout(0.1),
        pc.Dense(3, "softmax", l2=0.01),
    )  # fmt: skip
    assert model.optimizer == pc.SGD(0.3)
    assert (model.dtype, model.seed) == (np.float64, 7)
    assert (model._numbers.epochs, model._numbers.steps) == (3, 3 * 3)  # 59 rows
    told = json.loads((here / "flowers-run" / "run.json").read_text())
    assert (told["backend"], told["epochs"]) == ("numpy", 3)


def test_rare_classes_can_count_more(here: Path, said: Any) -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(300) % 10 == 0).astype(int)
    rows = [f"{a:.3f},{b}" for a, b in zip(rng.normal(size=300) + 1.5 * y, y, strict=True)]
    (here / "rare.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    found = {}
    for weight in ("none", "balanced"):
        options = ["--epochs=40", "--rate=0.02", "--backend=numpy", "--no-report", "--overwrite"]
        said("train", "rare.csv", "--target", "y", "--class-weight", weight, *options)
        scores = json.loads((here / "rare-run" / "run.json").read_text())["scores"]
        found[weight] = scores["model"]["mean recall"]
    assert found["balanced"] > found["none"] + 0.1
    weights = []
    for weight in ("none", "balanced"):
        options = ["--epochs=1", "--validation=0", "--backend=numpy", "--no-report", "--overwrite"]
        said("train", "rare.csv", "--target", "y", "--class-weight", weight, *options)
        weights.append(pc.load(here / "rare-run" / "model.safetensors")._numbers.params)
    assert not np.array_equal(*weights)


@pytest.mark.parametrize(("missing", "layer"), [
    ("auto", pc.Missing("median", indicator=(1,))), ("mean", pc.Missing("mean", indicator=(1,))),
    ("most_frequent", pc.Missing("most_frequent", indicator=(1,))),
])  # fmt: skip
def test_how_missing_numbers_are_filled(
    missing: str, layer: pc.Layer, here: Path, said: Any
) -> None:
    said("train", "flats.csv", "--target", "rent", *FAST, "--missing", missing)
    assert pc.load(here / "flats-run" / "model.safetensors").layers[0] == layer


def test_gaps_that_may_come_later(here: Path, said: Any) -> None:
    """Without gaps in the table, `--missing median` still lets later ones in."""
    said("train", "flowers.csv", "--target", "kind", *FAST, "--missing", "median")
    layers = pc.load(here / "flowers-run" / "model.safetensors").layers
    assert layers[0] == pc.Missing("median", indicator=False)
    (here / "new.csv").write_text("sepal,petal\n5.0,\n")
    assert len(said("predict", "flowers-run", "new.csv").splitlines()) == 2


def test_columns_are_chosen(here: Path, said: Any) -> None:
    said("train", "flats.csv", "--target", "rent", *FAST, "--drop", "city", "--keep", "id",
         "--text", "rooms")  # fmt: skip
    columns = json.loads((here / "flats-run" / "run.json").read_text())["columns"]
    assert columns["numbers"] == ["id", "size"]
    assert list(columns["categories"]) == ["rooms"]
    assert columns["categories"]["rooms"][0] == "(missing)"


def test_quiet_prints_the_result_only(here: Path, said: Any) -> None:
    out = said("train", "flats.csv", "--target", "rent", *FAST, "--quiet")
    assert out.startswith("on 24 rows held out:")
    assert "epoch" not in out
    assert "is left out" in (here / "flats-run" / "log.txt").read_text()


def test_a_run_is_not_overwritten_by_accident(here: Path, said: Any, refused: Any) -> None:
    said("train", "flats.csv", "--target", "rent", *FAST)
    before = (here / "flats-run" / "model.safetensors").read_bytes()
    told = refused("train", "flats.csv", "--target", "rent", *FAST, "--seed", "1")
    assert "a run is in 'flats-run'" in told
    assert "--resume" in told
    assert (here / "flats-run" / "model.safetensors").read_bytes() == before
    said("train", "flats.csv", "--target", "rent", *FAST, "--seed", "1", "--overwrite")
    assert (here / "flats-run" / "model.safetensors").read_bytes() != before


@pytest.mark.parametrize(("content", "typed", "words"), [
    ("a,y\n1,2\n3,4\n", ["--target", "z"], "unknown column 'z'"),
    ("size,kind\n1,2\n3,4\n", ["--target", "kindd"], 'did you mean "kind"?'),
    ("a,y\n" + "1,5\n2,5\n" * 9, ["--target", "y"], "the target 'y' is '5' in every row"),
    ("a,y\n1,2\n3\n", ["--target", "y"], "line 3 of t.csv has 1 value for 2 columns"),
    ("", ["--target", "y"], "t.csv is empty"),
    ("a,y,a\n1,2,3\n", ["--target", "y"], "names two columns 'a'"),
    ("a,y\n1,1\n2,2\nx,3\n4,4\n5,5\n6,6\n", ["--target", "y"], "'x' on line 4; try: --na 'x'"),
    ("a,y\n" + "1,1\n2,2\n,3\n" * 9, ["--target", "y", "--missing", "refuse"],
     "column 'a' has missing values"),
    ("a,y\n1,1\n2,2\n", ["--target", "y"], "2 rows are too few"),
    ("a,y\n1,1\n2,2\n", ["--target", "y", "--test", "0.6", "--validation", "0.5"],
     "leave no row to learn from"),
    ("a,y\n" + "1,1\n2,2\n3,5\n" * 9, ["--target", "y", "--activation", "rellu"],
     'did you mean "relu"?'),
    ("a,y\n" + "1,1\n2,2\n3,5\n" * 9, ["--target", "y", "--optimizer", "adm"],
     'did you mean "adam"?'),
    ("a,y\n" + "1,1\n2,2\n3,5\n" * 9, ["--target", "y", "--task", "regression",
     "--class-weight", "balanced"], "class_weight has no meaning"),
    ("a,y\n" + "1,1\n2,2\n3,5\n" * 9, ["--target", "y", "--out", "no/where"],
     "there is no folder 'no'"),
    ("a,y\n" + "1,1\n2,2\n3,5\n" * 9, ["--target", "y", "--out", "t.csv"], "'t.csv' is a file"),
])  # fmt: skip
def test_what_cannot_be_trained_is_said_before(
    content: str, typed: list[str], words: str, here: Path, refused: Any
) -> None:
    (here / "t.csv").write_text(content)
    before = sorted(here.iterdir())
    assert words in refused("train", "t.csv", *typed)
    assert sorted(here.iterdir()) == before


def test_rows_to_judge_by_are_never_learned_from(here: Path, said: Any) -> None:
    """Other values in the held-out rows change neither weights nor what prepares columns."""
    said("train", "flats.csv", "--target", "rent", *FAST, "--out", "one")
    given = settled(COMMANDS["train"], {}, "one/config.toml")
    rows = rows_of(given)
    lines = flats().splitlines()
    for k in rows.test:
        cells = lines[k + 1].split(",")
        lines[k + 1] = ",".join([cells[0], "99999", "77", "Genf", cells[4], "1"])
    (here / "flats.csv").write_text("\n".join(lines) + "\n")
    said("train", "flats.csv", "--target", "rent", *FAST, "--out", "two")
    weights = [pc.load(here / name / "model.safetensors") for name in ("one", "two")]
    assert weights[0].layers == weights[1].layers
    np.testing.assert_array_equal(weights[0]._numbers.params, weights[1]._numbers.params)
    np.testing.assert_array_equal(weights[0]._numbers.fixed, weights[1]._numbers.fixed)


def test_parts_are_apart_and_stratified(here: Path) -> None:
    given = settled(COMMANDS["train"], {"file": "flowers.csv", "target": "kind"}, None)
    rows = rows_of(given)
    everyone = np.concatenate([rows.train, rows.held, rows.test])
    assert sorted(everyone.tolist()) == list(range(90))
    for part in (rows.train, rows.held, rows.test):
        counts = np.bincount(rows.y[part].astype(int))
        assert counts.max() - counts.min() <= 1
    other = rows_of(given_with(given, seed=1))
    assert rows.test.tolist() != other.test.tolist()


def given_with(given: Settings, **values: Any) -> Settings:
    return given.with_(**values)


def test_without_rows_to_judge_by_that_is_said(here: Path, said: Any) -> None:
    out = said("train", "flowers.csv", "--target", "kind", *FAST, "--test", "0")
    assert "of the validation, by which the training was stopped" in out
    out = said(
        "train", "flowers.csv", "--target", "kind", *FAST, "--test", "0", "--validation", "0",
        "--overwrite",
    )  # fmt: skip
    assert "that it learned from, which flatters" in out


def test_early_stopping_restores_the_best_weights(here: Path, said: Any) -> None:
    out = said(
        "train", "flats.csv", "--target", "rent", "--layers", "32", "--rate", "0.05", "--epochs",
        "300", "--patience", "5", "--backend", "numpy", "--no-report",
    )  # fmt: skip
    assert "val_loss has not improved for 5 epochs" in out
    held = [float(row["val_loss"]) for row in table(here / "flats-run" / "history.csv")]
    assert len(held) == int(np.argmin(held)) + 1 + 5
    rows = rows_of(settled(COMMANDS["train"], {}, "flats-run/config.toml"))
    model = pc.load(here / "flats-run" / "model.safetensors")
    assert model.evaluate(*rows.pair(rows.held))["loss"] == pytest.approx(min(held), rel=1e-5)


def test_a_model_that_knows_nothing_is_not_praised(here: Path, said: Any) -> None:
    rng = np.random.default_rng(1)
    rows = [
        f"{a:.3f},{b}" for a, b in zip(rng.normal(size=80), rng.integers(0, 2, 80), strict=True)
    ]
    (here / "noise.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    out = said("train", "noise.csv", "--target", "y", *FAST)
    assert "NOT shown to be right more often than a guess" in out


def test_what_learns_is_better_than_a_guess(here: Path, said: Any) -> None:
    options = ["--epochs", "150", "--rate", "0.01", "--backend", "numpy", "--no-report"]
    out = said("train", "flats.csv", "--target", "rent", *options)
    assert ": better than a guess" in out
    told = json.loads((here / "flats-run" / "run.json").read_text())["scores"]
    assert told["model"]["R²"] > 0.9
    assert abs(told["guess"]["R²"]) < 0.2
    out = said("train", "flowers.csv", "--target", "kind", *options)
    told = json.loads((here / "flowers-run" / "run.json").read_text())["scores"]
    assert told["model"]["accuracy"] > 0.9
    assert told["guess"]["accuracy"] == pytest.approx(1 / 3)
    assert "true, predicted:" in out


def test_nan_in_training_is_told_with_its_own_code(here: Path, capsys: Any) -> None:
    typed = ["train", "flats.csv", "--target", "rent", *FAST, "--optimizer", "sgd", "--rate", "1e9"]
    assert main(typed) == 3
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    run = json.loads((here / "flats-run" / "run.json").read_text())
    assert run["status"] == "failed"
    assert run["failure"]
    assert not (here / "flats-run" / "model.safetensors").exists()


# -- stopped, and gone on with ---------------------------------------------------------------------

LONG = ["--epochs", "12", "--layers", "6", "--backend", "numpy", "--no-report", "--dropout", "0.2",
        "--patience", "3", "--rate", "0.02"]  # fmt: skip


def whole(here: Path, said: Any) -> tuple[bytes, bytes]:
    """A run that nothing has stopped: its model and its history."""
    said("train", "flats.csv", "--target", "rent", *LONG, "--out", "whole")
    return result(here / "whole")


def result(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "model.safetensors").read_bytes(), (folder / "history.csv").read_bytes()


def test_an_interrupted_run_goes_on_as_if_it_never_had_been(
    here: Path, said: Any, monkeypatch: Any
) -> None:
    expected = whole(here, said)
    real = EarlyStopping.on_epoch_end

    def pressed(self: Any, epoch: int, logs: Any) -> None:
        real(self, epoch, logs)
        if epoch == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EarlyStopping, "on_epoch_end", pressed)
        out = said("train", "flats.csv", "--target", "rent", *LONG, code=130)
    assert "to go on: pellucid train --resume --out flats-run" in out
    told = json.loads((here / "flats-run" / "run.json").read_text())
    assert told["status"] == "interrupted"
    out = said("train", "--resume", "--out", "flats-run")
    assert "going on with the run in flats-run/" in out
    assert result(here / "flats-run") == expected
    assert json.loads((here / "flats-run" / "run.json").read_text())["status"] == "done"


def test_a_killed_run_goes_on_as_if_it_never_had_been(here: Path, said: Any) -> None:
    options = ["--patience", "5000", "--epochs", "1000", "--layers", "6", "--backend", "numpy",
               "--no-report", "--dropout", "0.2"]  # fmt: skip
    command = [sys.executable, "-m", "pellucid", "train", "flats.csv", "--target", "rent", *options]
    path = str(Path(pc.__file__).parent.parent)
    child = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch  300"):
            child.kill()
            break
    child.wait()
    child.stdout.close()
    assert child.returncode not in (0, 2)
    assert not (here / "flats-run" / "model.safetensors").exists()
    said("train", "flats.csv", "--target", "rent", "--resume")
    said("train", "flats.csv", "--target", "rent", *options, "--out", "whole")
    assert result(here / "flats-run") == result(here / "whole")


def test_a_run_that_has_not_ended_says_how_to_go_on(here: Path, said: Any, refused: Any) -> None:
    said("train", "flats.csv", "--target", "rent", *FAST)
    (here / "flats-run" / "model.safetensors").unlink()
    told = refused("predict", "flats-run", "flats.csv")
    assert "has not come to its end; try: pellucid train --resume --out flats-run" in told


def test_going_on_takes_the_options_of_the_run(here: Path, said: Any, refused: Any) -> None:
    said("train", "flats.csv", "--target", "rent", *LONG)
    before = result(here / "flats-run")
    told = refused("train", "--resume", "--out", "flats-run", "--layers", "7")
    assert "--layers is [7], but the run was begun with [6]" in told
    (here / "other.csv").write_text(flats(50))
    told = refused("train", "other.csv", "--resume", "--out", "flats-run")
    assert "other.csv is not the table that the run was begun with" in told
    assert result(here / "flats-run") == before
    said("train", "flats.csv", "--target", "rent", "--resume", *LONG)
    assert result(here / "flats-run") == before
    (here / "flats.csv").write_text(flats(121))
    told = refused("train", "--resume", "--out", "flats-run")
    assert "is not the table that the run was begun with" in told


def test_going_on_where_nothing_is_begins(here: Path, said: Any) -> None:
    out = said("train", "flats.csv", "--target", "rent", *FAST, "--resume")
    assert "writing to flats-run/" in out


def test_going_on_from_another_folder(here: Path, said: Any, monkeypatch: Any) -> None:
    said("train", "flats.csv", "--target", "rent", *FAST)
    before = result(here / "flats-run")
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    said("train", "--resume", "--out", "../flats-run")
    assert result(here / "flats-run") == before
    assert said("evaluate", "../flats-run")


def test_more_epochs_can_be_asked_for(here: Path, said: Any) -> None:
    said("train", "flats.csv", "--target", "rent", *FAST, "--patience", "50")
    said("train", "--resume", "--out", "flats-run", "--epochs", "7")
    assert len(table(here / "flats-run" / "history.csv")) == 7
    assert tomllib.loads((here / "flats-run" / "config.toml").read_text())["epochs"] == 7


def test_two_trainings_in_one_folder(here: Path, said: Any, refused: Any) -> None:
    from pellucid.keeping.lock import Lock

    said("train", "flats.csv", "--target", "rent", *FAST)
    files = {p: p.read_bytes() for p in (here / "flats-run").iterdir() if p.is_file()}
    lock = Lock(here / "flats-run" / "checkpoint")
    for how in ("--resume", "--overwrite"):
        told = refused("train", "flats.csv", "--target", "rent", *FAST, how)
        assert "another training is under way" in told
    lock.release()
    assert {p: p.read_bytes() for p in files} == files


# -- a trained run, used ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def once(tmp_path_factory: Any) -> Path:
    """Two runs that several tests look at, each at a copy of its own."""
    folder: Path = tmp_path_factory.mktemp("once")
    options = ["--epochs=60", "--rate=0.01", "--backend=numpy", "--no-report", "--layers=8"]
    for name, target, content in (("flats", "rent", flats()), ("flowers", "kind", flowers())):
        path = folder / f"{name}.csv"
        path.write_text(content)
        out = ["--out", str(folder / f"{name}-run")]
        assert main(["train", str(path), "--target", target, *options, *out, "--quiet"]) == 0
    return folder


@pytest.fixture
def trained(once: Path, tmp_path: Path, monkeypatch: Any) -> Path:
    for path in once.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(once)
            target.parent.mkdir(exist_ok=True)
            content = path.read_bytes()
            if path.suffix in (".toml", ".json"):
                content = content.replace(str(once).encode(), str(tmp_path).encode())
            target.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_predictions_of_values(trained: Path, said: Any) -> None:
    out = said("predict", "flats-run", "flats.csv", "--out", "p.csv")
    assert out == "120 rows predicted: p.csv\n"
    found = [float(row["rent"]) for row in table(trained / "p.csv")]
    rows = rows_of(settled(COMMANDS["train"], {}, "flats-run/config.toml"))
    model = pc.load(trained / "flats-run" / "model.safetensors")
    np.testing.assert_allclose(found, model.predict(rows.X)[:, 0], rtol=1e-7)
    assert np.corrcoef(found, rows.y)[0, 1] > 0.9


def test_predictions_of_classes(trained: Path, said: Any) -> None:
    (trained / "new.csv").write_text("petal,sepal\n1.0,5.0\n5.1,7.1\n")
    out = said("predict", "flowers-run", "new.csv")
    lines = out.splitlines()
    assert lines[0] == "kind,p(setosa),p(versicolor),p(virginica)"
    assert [line.split(",")[0] for line in lines[1:]] == ["setosa", "virginica"]
    for line in lines[1:]:
        assert sum(map(float, line.split(",")[1:])) == pytest.approx(1, abs=1e-5)


def test_predictions_beside_the_inputs(trained: Path, said: Any) -> None:
    out = said("predict", "flowers-run", "flowers.csv", "--inputs")
    assert out.splitlines()[0].startswith("sepal,petal,kind,predicted kind,p(setosa)")
    assert len(out.splitlines()) == 91


def test_new_tables_are_read_with_care(trained: Path, capsys: Any, refused: Any) -> None:
    (trained / "new.csv").write_text("size,rooms,city,extra\n50,2,Genf,1\n60,,Bern,2\n")
    assert main(["predict", "flats-run", "new.csv"]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3
    assert "does not know 'Genf' (line 2)" in told.err
    (trained / "new.csv").write_text("sizes,rooms,city\n50,2,Bern\n")
    assert 'did you mean "sizes"?' in refused("predict", "flats-run", "new.csv")
    (trained / "new.csv").write_text("size,rooms,city\nbig,2,Bern\n")
    assert "'big' on line 2" in refused("predict", "flats-run", "new.csv")
    (trained / "new.csv").write_text("petal,sepal\n1.0,5.0\n,7.1\n")
    told = refused("predict", "flowers-run", "new.csv", "--out", "p.csv")
    assert "column 'petal' has no value on line 3" in told
    assert not (trained / "p.csv").exists()
    assert "there is no folder" in refused("predict", "flats-run", "flats.csv", "--out", "no/p.csv")


def test_what_is_evaluated_again_is_what_was_printed(trained: Path, said: Any) -> None:
    for name in ("flats-run", "flowers-run"):
        scores = json.loads((trained / name / "run.json").read_text())["scores"]
        told = json.loads(said("evaluate", name, "--json"))
        assert told.pop("judged") == "held out"
        assert told == scores
        assert "held out" in said("evaluate", name)


def test_another_table_is_evaluated(trained: Path, said: Any, capsys: Any, refused: Any) -> None:
    (trained / "new.csv").write_text(flats(40, seed=9))
    told = json.loads(said("evaluate", "flats-run", "new.csv", "--json"))
    assert told["rows"] == 40
    assert told["model"]["R²"] > 0.8
    assert main(["evaluate", "flats-run", "flats.csv"]) == 0
    assert "the model was trained on this table" in capsys.readouterr().err
    (trained / "flats.csv").write_text(flats(50))
    assert "has changed since the run" in refused("evaluate", "flats-run")


def test_a_row_is_explained(trained: Path, said: Any, refused: Any) -> None:
    out = said("explain", "flats-run", "--line", "6", "--full")
    for words in ("line 6, a row of the run's table", "rooms  (missing)", "predicted", "forward",
                  "filled1", "scaled2", "coded2", "d_W3", "update"):  # fmt: skip
        assert words in out
    out = said("explain", "flowers-run")
    assert "a row held out" in out
    assert "kind   " in out
    assert "no row with a target begins on line 500" in refused(
        "explain", "flats-run", "--line", "500"
    )


@pytest.mark.parametrize(("format", "begins"), [
    ("markdown", "#"), ("html", "<"), ("json", "{"), ("text", "line "),
])  # fmt: skip
def test_an_explanation_in_a_file(format: str, begins: str, trained: Path, said: Any) -> None:
    said("explain", "flowers-run", "--format", format, "--out", "why")
    assert (trained / "why").read_text().lstrip().startswith(begins)


def test_gradients_are_checked(trained: Path, said: Any) -> None:
    assert "gradient: right" in said("check", "flats-run")
    assert json.loads(said("check", "flowers-run", "--rows", "3", "--json"))["ok"] is True


def test_a_wrong_gradient_gives_code_1(trained: Path, said: Any, monkeypatch: Any) -> None:
    from pellucid.commands import check

    real = check.check_gradients

    def with_a_slip(model: Any, X: Any, y: Any) -> Any:
        wrong = {name: 1.01 * g for name, g in model.gradients(X, y).items()}
        return real(model, X, y, gradients=wrong)

    monkeypatch.setattr(check, "check_gradients", with_a_slip)
    assert "wrong" in said("check", "flats-run", code=1)


def test_timings_are_told(trained: Path, said: Any) -> None:
    told = json.loads(said("bench", "flowers-run", "--epochs", "1", "--repeats", "2", "--json"))
    names = {one["name"] for one in told["timed"]} | set(told["left_out"])
    assert {"NumPy", "compiled", "PyTorch", "scikit-learn"} <= names
    for one in told["timed"]:
        assert len(one["seconds"]) == 2
        assert one["rows_per_second"] > 0
    out = said("bench", "flats-run", "--epochs", "1", "--repeats", "1")
    assert "120 rows in batches of 32" in out
    assert "ms an epoch" in out


def test_peers_get_the_rows_that_dense_layers_get(trained: Path) -> None:
    from pellucid.commands.bench import prepared

    rows = rows_of(settled(COMMANDS["train"], {}, "flats-run/config.toml"))
    model = pc.load(trained / "flats-run" / "model.safetensors")
    found = prepared(model, rows.X)
    np.testing.assert_array_equal(found, model.activations(rows.X)["coded2"])


@pytest.mark.parametrize("name", ["run.json", "model.safetensors", "config.toml"])
def test_a_run_that_is_damaged_is_told(name: str, trained: Path, refused: Any) -> None:
    path = trained / "flats-run" / name
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"{}", b"\xff\xfe\x00"):
        path.write_bytes(damaged)
        if name == "config.toml" and damaged == b"":
            continue  # no option: every one has its default
        assert refused("evaluate", "flats-run", "flats.csv")
    path.unlink()
    assert refused("predict", "flats-run", "flats.csv")


@pytest.mark.parametrize("key", ["columns", "guess", "format"])
def test_a_log_that_says_something_else_is_told(key: str, trained: Path, refused: Any) -> None:
    path = trained / "flats-run" / "run.json"
    told = json.loads(path.read_text())
    for other in (None, 3, {}, [], "x", {"mean": "x"}):
        path.write_text(json.dumps({**told, key: other}))
        assert refused("predict", "flats-run", "flats.csv")


# -- the doctor ------------------------------------------------------------------------------------


def test_the_doctor_reads_what_train_reads(here: Path, said: Any) -> None:
    out = said("doctor", "flowers.csv", "--target", "kind", "--epochs", "60", "--json")
    assert json.loads(out)["healthy"] is True


def test_the_doctor_takes_text_gaps_and_what_is_left_out(here: Path, capsys: Any) -> None:
    assert main(["doctor", "flats.csv", "--target", "rent", "--epochs", "20", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["healthy"] is True
    assert "note: column 'id' is left out" in told.err
    assert "column 'rooms' has 13 missing values" in told.err
    assert [p.name for p in here.iterdir() if p.is_dir()] == []


# -- as a newcomer finds it ------------------------------------------------------------------------


def test_an_option_is_given_once(here: Path, refused: Any) -> None:
    told = refused("train", "flats.csv", "--target", "rent", "--target", "size")
    assert "--target is given twice" in told


def test_files_of_others_are_not_replaced_without_a_word(
    here: Path, said: Any, refused: Any
) -> None:
    (here / "own").mkdir()
    (here / "own" / "log.txt").write_text("mine")
    told = refused("train", "flats.csv", "--target", "rent", *FAST, "--out", "own")
    assert "'own' holds 'log.txt', but no run" in told
    assert (here / "own" / "log.txt").read_text() == "mine"
    said("train", "flats.csv", "--target", "rent", *FAST, "--out", "own", "--overwrite")


def test_what_is_refused_in_fit_leaves_no_folder(
    here: Path, refused: Any, monkeypatch: Any
) -> None:
    def fit(*_: Any, **__: Any) -> None:
        raise pc.errors.ArgumentError("no", "yes")

    monkeypatch.setattr(pc.Sequential, "fit", fit)
    refused("train", "flats.csv", "--target", "rent", *FAST)
    assert not (here / "flats-run").exists()


def test_an_optimizer_of_all_rows_says_how_many(here: Path, refused: Any) -> None:
    told = refused("train", "flats.csv", "--target", "rent", *FAST, "--optimizer", "lbfgs")
    assert "LBFGS takes all 78 rows at once, and not 32; try: --batch 78" in told
    assert not (here / "flats-run").exists()


def test_auto_leaves_the_backend_that_it_chose(here: Path, said: Any) -> None:
    options = ["--epochs", "2", "--layers", "4", "--no-report"]
    said("train", "flats.csv", "--target", "rent", *options)
    config = tomllib.loads((here / "flats-run" / "config.toml").read_text())
    told = json.loads((here / "flats-run" / "run.json").read_text())
    assert config["backend"] == told["backend"] in ("numpy", "numba")
    said("train", "./flats.csv", "--out", "flats-run", "--resume", "--backend", "auto")


def test_the_best_weights_are_told_and_a_run_that_was_done(here: Path, said: Any) -> None:
    rng = np.random.default_rng(1)
    rows = [f"{a:.3f},{b:.3f}" for a, b in rng.normal(size=(80, 2))]  # nothing to learn
    (here / "noise.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    options = ["--epochs", "40", "--patience", "99", "--rate", "0.1", "--backend", "numpy"]
    out = said("train", "noise.csv", "--target", "y", *options, "--no-report")
    held = [float(row["val_loss"]) for row in table(here / "noise-run" / "history.csv")]
    best = int(np.argmin(held)) + 1
    assert best < len(held) == 40
    assert f"the best val_loss was {min(held):.4g} in epoch {best}, whose weights" in out
    out = said("train", "--resume", "--out", "noise-run")
    assert "the run had come to its end: nothing is learned anew" in out


def test_a_failed_run_is_not_to_be_resumed(here: Path, refused: Any, capsys: Any) -> None:
    assert main(["train", "flats.csv", "--target", "rent", *FAST, "--rate", "1e40"]) == 3
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and "  cause: " in told.out
    assert "met NaN or Inf" in refused("predict", "flats-run", "flats.csv")


def test_numbers_that_are_too_large_or_too_small(here: Path, said: Any, refused: Any) -> None:
    for scale, where in ((1e39, "column 'a'"), (1e30, "the target 'y'")):
        rows = [(k * scale, k) if where == "column 'a'" else (k, k * scale) for k in range(1, 50)]
        text = "\n".join(["a,y", *(f"{a * (k % 7 + 1)},{y}" for k, (a, y) in enumerate(rows))])
        (here / "t.csv").write_text(text + "\n")
        told = refused("train", "t.csv", "--target", "y", "--task", "regression", *FAST)
        assert where in told and "too large for float32; try: --dtype float64" in told
    (here / "t.csv").write_text(
        "\n".join(["a,y", *(f"{k % 9}.5e-300,{k}" for k in range(50))]) + "\n"
    )
    out = said("train", "t.csv", "--target", "y", *FAST)
    assert "single precision is too coarse for it; --dtype float64" in out


def test_memory_that_is_not_there_is_no_error_of_the_program(
    here: Path, refused: Any, monkeypatch: Any
) -> None:
    def none(*_: Any) -> None:
        raise MemoryError("Unable to allocate 59.6 GiB")

    monkeypatch.setattr("pellucid.commands.train.model_of", none)
    told = refused("train", "flats.csv", "--target", "rent", *FAST)
    assert "there is not enough memory: Unable to allocate 59.6 GiB" in told


def test_a_name_with_a_line_break_is_one_line(here: Path, said: Any) -> None:
    rows = [f"{k % 7},{'ab'[k % 2]},{k * 1.5}" for k in range(60)]
    (here / "t.csv").write_text("\n".join(['"two\nlines",c,y', *rows]) + "\n")
    out = said("train", "t.csv", "--target", "y", *FAST)
    assert "numbers two lines; categories c (2)" in out


def test_a_table_without_the_target_is_not_judged(here: Path, said: Any, refused: Any) -> None:
    said("train", "flats.csv", "--target", "rent", *FAST)
    (here / "new.csv").write_text("size,rooms,city\n50,2,Bern\n")
    for command in ("evaluate", "explain", "check"):
        told = refused(command, "flats-run", "new.csv")
        assert "new.csv has no column 'rent', which the model predicts" in told


# -- scores ----------------------------------------------------------------------------------------


def test_scores_of_classes() -> None:
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    y = np.array([0.0, 1.0, 1.0, 1.0])
    found = judged_classes(shares, y, [0.25, 0.75], ["no", "yes"])
    assert found.scores["accuracy"] == 0.75
    assert found.scores["mean recall"] == pytest.approx((1 + 2 / 3) / 2)
    expected = -np.log([0.9, 0.8, 0.4, 0.7]).mean()
    assert found.scores["log loss"] == pytest.approx(expected)
    assert found.guess["accuracy"] == 0.75
    assert found.guess["mean recall"] == 0.5
    assert found.guess["log loss"] == pytest.approx(-np.log([0.25, 0.75, 0.75, 0.75]).mean())
    assert (found.won, found.lost) == (1, 1)
    assert found.table == ((1, 0), (1, 2))
    assert "NOT shown" in found.conclusion()


def test_where_one_class_has_most_rows_that_is_said() -> None:
    shares = np.array([[0.9, 0.1]] * 9 + [[0.2, 0.8]])
    y = np.array([0.0] * 9 + [1.0])
    found = judged_classes(shares, y, [0.9, 0.1], ["no", "yes"])
    assert "one class has 90% of the rows" in found.lines()[-1]
    assert judged_classes(shares[6:], y[6:], [0.9, 0.1], ["no", "yes"]).remarks() == []


def test_scores_of_values() -> None:
    y = np.array([1.0, 2.0, 3.0, 6.0])
    found = judged_values(np.array([1.0, 2.0, 4.0, 5.0]), y, 3.0)
    assert found.scores["RMSE"] == pytest.approx(np.sqrt(0.5))
    assert found.scores["MAE"] == 0.5
    assert found.scores["R²"] == pytest.approx(1 - 2 / 14)
    assert found.guess["R²"] == pytest.approx(0)
    assert (found.won, found.lost) == (3, 1)


def test_chance_is_that_of_fair_throws() -> None:
    assert tail(8, 10) == pytest.approx((45 + 10 + 1) / 1024)
    assert tail(0, 7) == 1
    many = tail(530, 1001)
    assert many == pytest.approx(sum(_choose(1001, k) for k in range(530, 1002)), rel=1e-2)


def _choose(n: int, k: int) -> float:
    from math import comb

    return comb(n, k) / 2**n
