"""The command line: what it prints, how it answers mistakes, and what the demonstration shows."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pc
from pellucid import demo
from pellucid.callbacks import Progress, writes
from pellucid.cli import main

HIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")  # every control character but the new line


def _run(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "pellucid", *arguments]
    environment["PYTHONPATH"] = str(Path(demo.__file__).parent.parent)  # wherever it was found
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, check=False
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help(arguments, capsys):
    try:
        assert main(arguments) == 0
    except SystemExit as left:
        assert left.code == 0
    out = capsys.readouterr().out
    assert "demo" in out
    assert "version" in out


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_version(arguments, capsys):
    try:
        assert main(arguments) == 0
    except SystemExit as left:
        assert left.code == 0
    assert capsys.readouterr().out == f"pellucid {pc.__version__}\n"


def test_as_a_module(tmp_path):
    done = _run("version", cwd=tmp_path)
    assert (done.returncode, done.stdout.decode().strip()) == (0, f"pellucid {pc.__version__}")


@pytest.mark.parametrize(("arguments", "words"), [
    (["demo", "--epochs", "-1"], "epochs is -1"),
    (["demo", "--save", "nowhere/m.safetensors"], "there is no folder 'nowhere'"),
    (["demo", "--save", "."], "cannot be written"),
    (["demo", "--report", "nowhere/m.html"], "there is no folder 'nowhere'"),
])  # fmt: skip
def test_a_mistake_is_told_without_a_traceback(arguments, words, here, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("pellucid: ")
    assert words in told
    assert "Traceback" not in told
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("arguments", [["fly"], ["demo", "--seed", "x"], ["demo", "--fast"]])
def test_an_unknown_argument_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: pellucid" in capsys.readouterr().err


def test_an_error_of_the_system_is_told(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "run", full)
    assert main(["demo"]) == 2
    assert "No space left" in capsys.readouterr().err


# -- the demonstration -----------------------------------------------------------------------------


def test_demo_piped_is_plain_and_saves(tmp_path):
    done = _run("demo", "--epochs", "3", cwd=tmp_path, PYTHONIOENCODING="utf-8")
    out = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    assert not HIDDEN.search(out.replace(os.linesep, "\n"))
    assert max(map(len, out.splitlines())) <= 80 or str(tmp_path) in out
    assert len(out.splitlines()) < 30
    assert "█" in out
    assert "epoch 3/3  loss" in out
    assert str(tmp_path / "digits.safetensors") in out
    *_, loading, _, page = out.split("\n\n")
    assert Path(page.strip()) == tmp_path / "digits.html"
    assert Path(page.strip()).stat().st_size < 2e6
    model = {}
    exec(loading.replace("    ", "").replace("'digits", f"r'{tmp_path}/digits"), model)
    X, _, X_test, y_test = pc.data.split(*pc.data.digits(), test=0.2, seed=0)
    share = np.mean(model["model"].predict_classes(X_test) == y_test)
    assert f"reads {share:.1%} correctly" in out
    assert len(X) == 1438


def test_demo_in_plain_ascii(tmp_path):
    done = _run("demo", "--epochs", "1", "--save", "d.safetensors", "--report", "d.html",
                cwd=tmp_path, PYTHONIOENCODING="ascii")  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii()
    assert b"@@" in done.stdout
    assert pc.load(tmp_path / "d.safetensors").params


def test_demo_with_the_same_seed_is_the_same(here, capsys):
    outs = []
    for _ in range(2):
        assert main(["demo", "--epochs", "2", "--seed", "5"]) == 0
        outs.append(re.sub(r"\d+\.\d s$", "", capsys.readouterr().out, flags=re.M))
    assert outs[0] == outs[1]


def test_the_demonstrations_network_reads_digits():
    X, y, X_test, y_test = pc.data.split(*pc.data.digits(), test=0.2, seed=0)
    model = demo.reader()
    demo.trained(model, X, y, demo.EPOCHS, (X_test, y_test))
    assert model.evaluate(X_test, y_test)["accuracy"] >= 0.97


def test_a_mistake_is_shown_and_said():
    truth = np.array([0, 1, 2, 3, 4, 5])
    shares = np.full((6, 10), 0.01)
    shares[np.arange(6), [0, 1, 2, 3, 4, 8]] = 0.91
    lines = list(demo._report(shares, truth, np.ones((6, 64)), "01"))
    assert "83.3%" in lines[0]
    assert "1 wrongly" in lines[1]
    assert "read 8 (p=0.910)" in lines[-2]
    assert "is   5, wrong" in lines[-1]
    sound = list(demo._report(shares[:5], truth[:5], np.ones((5, 64)), "01"))
    assert "none wrongly" in sound[1]
    assert all(len(line) <= 79 for line in lines)


def test_pictures_stand_side_by_side():
    images = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
    lines = list(demo.pictures(images, [["a", "b"], ["c", "d"]], " #"))
    assert lines == ["    ##   ####", "  ##", "  a      b", "  c      d"]


# -- the progress bar ------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal of 80 columns, as far as a bar can tell."""

    encoding = "utf-8"

    def isatty(self):
        return True


class Old(Screen):
    encoding = "ascii"


LOGS = {"loss": 0.1234, "accuracy": 0.98, "val_loss": 0.2, "val_accuracy": 0.95}


def _shown(out, epochs=500, logs=LOGS, stop=None):
    bar = Progress(out, every=0)
    bar.on_train_begin({"epochs": epochs, "batches": 3})
    for epoch in range(stop or epochs):
        bar.drawn -= 1  # as if a second had gone
        bar.on_batch_end(1, {"loss": 0.5})
        bar.drawn -= 1
        bar.on_epoch_end(epoch, logs)
    bar.on_train_end({})
    return out.getvalue()


@pytest.mark.parametrize("many", [LOGS, {f"metric_{k}": 1.0 for k in range(20)}, {"loss": 1e300}])
def test_a_bar_never_is_wider_than_the_terminal(many):
    drawn = _shown(Screen(), logs=many).split("\r")
    assert len(drawn) > 500
    assert all(len(line.rstrip("\n")) < 80 for line in drawn)


def test_a_bar_ends_full_with_the_last_numbers_and_a_new_line():
    text = _shown(Screen())
    last = text.split("\r")[-1]
    assert last.endswith("\n")
    assert "░" not in last
    assert "500/500  loss 0.1234, val 0.2000  accuracy 0.9800, val 0.9500" in last
    assert "\x1b" not in text


def test_a_bar_that_is_stopped_early_stays_where_it_is():
    last = _shown(Screen(), epochs=100, stop=50).split("\r")[-1]
    assert " 50/100" in last
    assert last.count("█") == last.count("░")


def test_a_shorter_line_leaves_nothing_of_the_longer_one():
    out = Screen()
    bar = Progress(out)
    bar.on_train_begin({"epochs": 2, "batches": 1})
    bar.on_epoch_end(0, {"loss": 123456.0})
    bar.drawn -= 1
    bar.on_epoch_end(1, {"loss": 1.0})
    first, second = out.getvalue().split("\r")[1:]
    assert len(second) >= len(first)


def test_a_bar_in_ascii():
    assert _shown(Old(), epochs=3).isascii()
    assert "##" in _shown(Old(), epochs=3)


def test_a_bar_that_is_piped_is_one_line():
    out = io.StringIO()
    text = _shown(out)
    assert text.count("\n") == 1
    assert not HIDDEN.search(text)
    assert text.startswith("epoch 500/500  loss 0.1234")


def test_a_bar_without_epochs_says_nothing():
    for out in (Screen(), io.StringIO()):
        assert _shown(out, epochs=0) == ""


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "0 s"), (59, "59 s"), (61, "1:01"),
    (3600, "1:00:00"), (3725, "1:02:05")])  # fmt: skip
def test_durations_as_one_reads_them(seconds, shown):
    from pellucid.callbacks import clock

    assert clock(seconds) == shown


def test_an_unknown_encoding_is_taken_for_ascii():
    class Strange(io.StringIO):
        encoding = "nothing-known"

    assert not writes(Strange(), "█")
    assert not writes(Strange(), "a")
