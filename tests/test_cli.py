"""The command line: what it prints, how it answers mistakes, and what the demonstration shows."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pc
from pellucid import demo
from pellucid.callbacks import Progress, writes
from pellucid.cli import _parser, main
from pellucid.commands.catalog import CODES, COMMANDS
from pellucid.commands.options import Settings, settled, to_toml, written

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
    (["demo", "--epochs", "-1"], "epochs is '-1'"),
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


@pytest.mark.parametrize(("arguments", "words"), [
    (["fly"], "unknown command 'fly'"),
    (["trian"], 'did you mean "train"?'),
    (["--fast"], "'--fast' is not expected before the command"),
    (["demo", "--seed", "x"], "--seed is 'x'; try: a whole number"),
    (["demo", "--seed"], "--seed: expected one argument"),
    (["demo", "--fast"], "unknown option of demo '--fast'"),
    (["train", "--leyers", "3"], 'did you mean "--layers"?'),
    (["train", "--leyers=3"], 'did you mean "--layers"?'),
    (["train", "a.csv", "b.csv"], "'b.csv' is not expected after train"),
    (["train", "--layers", "64,x"], "--layers is '64,x'; try: units of each hidden layer"),
    (["train", "--layers", "64,0"], "--layers is '64,0'"),
    (["train", "--validation", "1"], "--validation is '1'; try: a number of at least 0"),
    (["train", "--rate", "nan"], "--learning-rate is 'nan'"),
    (["train", "--rate", "1_0"], "--learning-rate is '1_0'"),
    (["train", "--task", "guess"], "--task is 'guess'; try: did you mean"),
    (["train", "--task", "regresion"], 'did you mean "regression"?'),
    (["train"], "FILE is not given"),
    (["train", "a.csv", "--config", "no.toml"], "No such file"),
    (["predict", "nowhere", "a.csv"], "there is no run in 'nowhere'"),
    (["predict"], "RUN is not given"),
])  # fmt: skip
def test_a_mistake_in_what_is_typed_is_one_line(arguments, words, here, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.startswith("pellucid: ")
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert list(here.iterdir()) == []
    assert main([*arguments, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "version"])
def test_every_command_has_help_with_examples_and_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "examples" in out
    assert f"pellucid {command}" in out.partition("examples")[2]
    assert "130  interrupted" in out
    for option in COMMANDS[command].options:
        assert option.dashed in out
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "version"])
def test_examples_can_be_typed(command):
    """Every example is taken by the parser, with all that it says."""
    for typed, does in COMMANDS[command].examples:
        words = shlex.split(typed.partition("|")[0])
        given, unknown = _parser().parse_known_args(words[1:])
        assert (words[0], given.command, unknown) == ("pellucid", command, [])
        settled(COMMANDS[command], vars(given), None)
        assert does


def test_exit_codes_are_those_of_the_help(monkeypatch, capsys):
    def raising(error):
        def run(*_):
            raise error

        return run

    for error, code in (
        (pc.NonFiniteError("the loss is NaN\nat step 3"), 3),
        (pc.DataError("no"), 2),
        (KeyError("x"), 4),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device"), 2),
    ):
        monkeypatch.setattr(demo, "run", raising(error))
        assert main(["demo"]) == code
        assert f"\n  {code} " in CODES
        assert capsys.readouterr().err.count("\n") == (code != 130)
    monkeypatch.setattr(demo, "run", raising(KeyError("x")))
    main(["demo"])
    assert "an error of this program, KeyError: 'x'; --debug shows where" in capsys.readouterr().err
    main(["--debug", "demo"])
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    command = f"{sys.executable} -m pellucid worked --list | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(demo.__file__).parent.parent)},
    )  # fmt: skip
    assert done.stdout.split()[-1] in (b"0", b"141")
    assert b"Traceback" not in done.stderr


# -- options in a file -----------------------------------------------------------------------------


def test_every_option_can_be_in_a_file(tmp_path):
    """What is typed and what a file says come to the same settings, for every option."""
    values = {
        "file": "a.csv", "run": "r", "target": "y", "layers": [3, 4], "hidden": [3, 4],
        "drop": ["a,b"], "keep": ["c"], "text": ["d"], "na": ["gone"], "out": "there",
        "name": "2-3-1 forward",
    }  # fmt: skip
    for command in COMMANDS.values():
        if not command.listed:
            continue
        for option in command.all:
            value = values.get(option.name, _other(option.default))
            path = tmp_path / "c.toml"
            path.write_text(f"{option.name} = {written(value)}\n")
            found = settled(command, {}, str(path))
            assert found.asked == {option.name}
            typed = value if option.flag else _typed(value)
            if option.many:
                typed = typed.split(",")
            assert settled(command, {option.name: typed}, None)[option.name] == found[option.name]


def _typed(value):
    """Return a value as one types it."""
    if isinstance(value, list):
        return ",".join(f'"{v}"' if "," in str(v) else str(v) for v in value)
    return str(value)


def _other(default):
    """Return a value that is not the default."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, float):
        return 0.25
    if isinstance(default, int):
        return default + 1
    others = {"auto": "auto", "none": "balanced", "float32": "float64", "text": "html"}
    return others.get(default, "x") if isinstance(default, str) else 7


def test_a_file_is_for_one_command_or_for_several(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("seed = 3\n[train]\nbatch-size = 5\n[demo]\nepochs = 9\n")
    train = settled(COMMANDS["train"], {"seed": "4"}, str(path))
    assert (train.seed, train.batch_size, train.epochs) == (4, 5, 1000)
    assert settled(COMMANDS["demo"], {}, str(path)).epochs == 9


@pytest.mark.parametrize(("text", "words"), [
    ("leyers = [3]", 'unknown key of c.toml \'leyers\'; try: did you mean "layers"?'),
    ("[trian]\nseed = 1", "unknown table of c.toml 'trian'"),
    ("[train]\nsed = 1", 'did you mean "seed"'),
    ("seed = 'x'", "seed of c.toml is 'x'"),
    ("seed = true", "seed of c.toml is True"),
    ("seed = 1.5", "seed of c.toml is 1.5"),
    ("layers = [3.5]", "layers of c.toml is [3.5]"),
    ("layers = 1.5", "layers of c.toml is 1.5"),
    ("drop = [1]", "drop of c.toml is [1]"),
    ("report = 'yes'", "report of c.toml is 'yes'"),
    ("seed = ", "c.toml is not TOML"),
    ("seed = 1\nseed = 2", "c.toml is not TOML"),
])  # fmt: skip
def test_a_mistake_in_a_file_is_told(text, words, here, capsys):
    (here / "c.toml").write_text(text)
    assert main(["train", "--config", "c.toml"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_settings_are_written_as_they_are_read(tmp_path):
    values = {option.name: option.default for option in COMMANDS["train"].all}
    values |= {"drop": ('a "b"\\c', "d,e\n"), "na": ("\x7f",), "layers": (), "learning_rate": 1e-30,
               "target": "Größe 🌱", "resume": True}  # fmt: skip
    path = tmp_path / "c.toml"
    path.write_text(to_toml(COMMANDS["train"], Settings(values)), encoding="utf-8")
    found = settled(COMMANDS["train"], {}, str(path))
    assert {name: found[name] for name in values} == values


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
    assert abs(last.count("█") - last.count("░")) <= 1


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
