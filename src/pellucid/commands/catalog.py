"""Every command: what it takes, with defaults, and what one types."""

from __future__ import annotations

from pellucid.commands.options import Command, Option, choice, flag, real, sizes, text, whole, words

HERE = "pellucid.commands"
CODES = """exit codes
  0    done
  1    a check has failed: the answer of `check` is no
  2    what was given cannot be used: an option, a file, its data
  3    training met NaN or Inf, and stopped
  4    an error of this program: --debug shows where
  130  interrupted by Ctrl-C
  141  the reader of what is printed went away"""

FILE = Option("file", "a table of separated values, with names in line 1", text, metavar="FILE")
RUN = Option("run", "the folder that `pellucid train` wrote", text, metavar="RUN")
THEIRS = Option("file", "a table with the same columns (left out: the one it was trained on)", text,
                metavar="FILE")  # fmt: skip
TARGET = Option("target", "the column to be predicted", text, None, "NAME")
SEED = Option("seed", "fixes the split, the weights and the shuffles", whole(), 0, "N")
JSON = Option("json", "print JSON", flag, False, flag=True)

READING = (
    Option("separator", 'what stands between values: auto, ",", ";", "|" or tab',
           text, "auto", "S"),
    Option("decimal", 'what stands before decimals: auto, "." or ","',
           choice("auto", ".", ","), "auto", "C"),
)  # fmt: skip

COLUMNS = (
    Option("task", "auto, classification or regression",
           choice("auto", "classification", "regression"), "auto", "WORD"),
    Option("drop", "columns that are not to be used", words, (), "A,B"),
    Option("keep", "columns to be used, though they would be left out", words, (), "A,B"),
    Option("text", "columns of categories, though they hold numbers", words, (), "A,B"),
    Option("na", "further words that mean a missing value", words, (), "A,B"),
    Option("categories", "different texts, beyond which a column is left out",
           whole(2), 50, "N"),
    Option("missing", "fill missing numbers with: auto (the median, where there are any), "
           "median, mean, most_frequent; or refuse",
           choice("auto", "median", "mean", "most_frequent", "refuse"), "auto", "WORD"),
    *READING,
)  # fmt: skip

TRAIN = Command(
    "train",
    "learn from a table: a model, its report and its log, in a folder",
    f"{HERE}.train",
    (FILE,),
    (
        TARGET,
        *COLUMNS,
        Option("layers", "units of each hidden layer; none for no hidden layer",
               sizes, (64, 64), "64,64"),
        Option("activation", "of the hidden layers", text, "relu", "NAME"),
        Option("dropout", "share of hidden values dropped while training", real(0, 1), 0.0, "X"),
        Option("l2", "penalty on the weights", real(0), 0.0, "X"),
        Option("optimizer", "by name, such as adam or sgd", text, "adam", "NAME"),
        Option("learning_rate", "how long its steps are (the optimizer's own by default)",
               real(0, above=True), None, "X", also=("--rate",)),
        Option("epochs", "how often to go through the rows, at most", whole(1), 1000, "N"),
        Option("batch_size", "rows in a batch", whole(1), 32, "N", also=("--batch",)),
        Option("patience", "epochs without a better validation loss (of balanced classes: mean "
               "recall), after which to stop", whole(1), 30, "N"),
        Option("class_weight", "none, or balanced: every class counts the same",
               choice("none", "balanced"), "none", "WORD"),
        Option("validation", "share of the rows to stop by", real(0, 1), 0.15, "X"),
        Option("test", "share of the rows to judge by, once, at the end", real(0, 1), 0.2, "X"),
        SEED,
        Option("dtype", "float32 or float64", choice("float32", "float64"), "float32", "WORD"),
        Option("backend", "auto, numpy or numba (compiled)",
               choice("auto", "numpy", "numba"), "auto", "WORD"),
        Option("out", "the folder to write (FILE's name and -run by default)", text, None, "DIR"),
        Option("overwrite", "replace the run that is there", flag, False, flag=True),
        Option("resume", "go on with the run that is there, where it was stopped or killed",
               flag, False, flag=True),
        Option("report", "write report.html", flag, True, flag=True),
        Option("quiet", "print the result only", flag, False, flag=True),
    ),
    "Numbers are normalized, texts become one-hot columns, and missing numbers are filled and "
    "marked, all by what the training rows say. What is odd about the table is said before.",
    (
        ("pellucid train flowers.csv --target kind", "learn, and write flowers-run/"),
        ("pellucid train flats.csv --target rent --layers 128,64 --epochs 500", "a larger network"),
        ("pellucid train flats.csv --target rooms --task regression", "amounts, not classes"),
        ("pellucid train flats.csv --target rent --resume", "go on after a stop or a kill"),
        ("pellucid train --config run.toml", "all options from a file"),
    ),
)  # fmt: skip

PREDICT = Command(
    "predict",
    "predict the rows of a table",
    f"{HERE}.predict",
    (RUN, Option("file", "a table with the same columns", text, metavar="FILE")),
    (
        Option("out", "the file to write (printed by default)", text, None, "PATH"),
        Option("inputs", "write the columns of the table as well", flag, False, flag=True),
        *READING,
    ),
    "One row is written for each row of the table: the prediction and, of classes, how probable "
    "each is. The target need not be there.",
    (
        ("pellucid predict flowers-run new.csv --out predicted.csv", "write a table"),
        ("pellucid predict flowers-run new.csv --inputs | head", "look at the first rows"),
    ),
)

EVALUATE = Command(
    "evaluate",
    "say how good a trained model is, beside a guess",
    f"{HERE}.evaluate",
    (RUN, THEIRS),
    (JSON, *READING),
    "Without FILE it is judged by the rows that were held out of its training.",
    (
        ("pellucid evaluate flowers-run", "the rows that were held out"),
        ("pellucid evaluate flowers-run new.csv --json", "another table, for a program"),
    ),
)

EXPLAIN = Command(
    "explain",
    "show every number of a prediction and a training step",
    f"{HERE}.explain",
    (RUN, THEIRS),
    (
        Option("line", "the line of the table (a row that was held out by default)",
               whole(2), None, "N"),
        Option("format", "text, markdown, html or json",
               choice("text", "markdown", "html", "json"), "text", "WORD"),
        Option("full", "every step, however large the model", flag, False, flag=True),
        Option("out", "the file to write (printed by default)", text, None, "PATH"),
        *READING,
    ),
    "",
    (
        ("pellucid explain flowers-run", "a row that was held out"),
        ("pellucid explain flowers-run new.csv --line 17", "the row on line 17"),
        ("pellucid explain flowers-run --format html --out why.html", "a page"),
    ),
)  # fmt: skip

CHECK = Command(
    "check",
    "put a model's gradients to the test",
    f"{HERE}.check",
    (RUN, THEIRS),
    (
        Option("rows", "how many rows it is tested on", whole(1), 16, "N"),
        JSON,
        *READING,
    ),
    "Every slope is compared with differences of the loss, in float64. Where one is wrong the "
    "exit code is 1.",
    (("pellucid check flowers-run", "on rows of its own table"),),
)

BENCH = Command(
    "bench",
    "time a model here: NumPy, compiled, and other libraries that are installed",
    f"{HERE}.bench",
    (RUN, THEIRS),
    (
        Option("epochs", "how many are timed at once (so many as take a second, by default)",
               whole(1), None, "N"),
        Option("repeats", "how often each is timed", whole(1), 5, "N"),
        JSON,
        *READING,
    ),
    "All train the same layers on the same prepared rows, in turns, on this machine as it is now.",
    (("pellucid bench flowers-run", "with the table it was trained on"),),
)  # fmt: skip

DOCTOR = Command(
    "doctor",
    "say what is wrong with a table, or its training",
    f"{HERE}.doctor",
    (FILE,),
    (
        TARGET,
        *COLUMNS,
        Option("hidden", "units of each hidden layer", sizes, (16,), "N", many=True),
        Option("activation", "of the hidden layers", text, "relu", "NAME"),
        Option("learning_rate", "of Adam", real(0, above=True), 0.01, "X", also=("--rate",)),
        Option("epochs", "how often to go through the rows", whole(1), None, "N"),
        Option("batch_size", "rows in a batch", whole(1), 32, "N", also=("--batch",)),
        SEED,
        Option("seconds", "how long it may take, about", real(0, above=True), 10.0, "X"),
        JSON,
    ),
    "Columns are read and prepared as `train` does. Nothing is written.",
    (("pellucid doctor flowers.csv --target kind --hidden 16 16", "a table, and two layers"),),
)

DEMO = Command(
    "demo",
    "learn to read handwritten digits, in seconds",
    f"{HERE}.others:demo",
    (),
    (
        SEED,
        Option("epochs", "how often to go through the training images", whole(), 60, "N"),
        Option("save", "where to write the model", text, "digits.safetensors", "PATH"),
        Option("report", "where to write the page that shows all of it", text, "digits.html",
               "PATH"),
    ),
    "",
    (("pellucid demo", "learn, show, save, and write a page"),),
)  # fmt: skip

WORKED = Command(
    "worked",
    "exercises of the teaching documents, solved",
    f"{HERE}.others:worked",
    (Option("name", 'such as "2-3-1 forward"', text, metavar="NAME"),),
    (
        Option("blanks", "leave the results to be filled in", flag, False, flag=True),
        Option("list", "say which there are", flag, False, flag=True),
    ),
    "",
    (
        ("pellucid worked --list", "which there are"),
        ('pellucid worked "2-3-1 forward" --blanks', "one to be filled in"),
    ),
)

CACHE = Command(
    "cache",
    "where compiled programs are kept, and how large",
    f"{HERE}.others:cache",
    (),
    (Option("clear", "remove them all", flag, False, flag=True),),
    "",
    (("pellucid cache --clear", "remove them"),),
)

VERSION = Command("version", "print the version", f"{HERE}.others:version", listed=False)

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (TRAIN, PREDICT, EVALUATE, EXPLAIN, CHECK, BENCH, DOCTOR, DEMO, WORKED, CACHE,
                    VERSION)
}  # fmt: skip
