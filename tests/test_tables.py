"""Tables in files: how text becomes names, numbers and categories, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import tables
from pellucid.errors import ArgumentError, DataError
from pellucid.tables import Schema, planned, read
from pellucid.tables.columns import Wishes, column
from pellucid.tables.numbers import missing, numbers
from pellucid.tables.reading import listed


@pytest.fixture
def file(tmp_path: Any) -> Any:
    def put(content: str | bytes, name: str = "t.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return put


def flowers(n: int = 40) -> str:
    rng = np.random.default_rng(0)
    colors = ["red", "blue", "green"]
    rows = [f"{rng.normal():.3f},{colors[k % 3]},{'ab'[k % 2]}" for k in range(n)]
    return "\n".join(["size,color,kind", *rows]) + "\n"


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [
    "a,b\n1,2\n3,4\n",
    "a,b\r\n1,2\r\n3,4\r\n",
    "\ufeffa,b\n1,2\n3,4",
    "a;b\n1;2\n3;4\n",
    "a\tb\n1\t2\n3\t4\n",
    "a|b\n1|2\n3|4\n",
    " a , b \n1,2\n\n3,4\n\n",
    '"a","b"\n"1","2"\n"3","4"\n',
    "a,b\n1,2\n3,4\n".encode("utf-16"),
])  # fmt: skip
def test_one_table_in_many_spellings(content: Any, file: Any) -> None:
    table = read(file(content))
    assert table.names == ["a", "b"]
    assert table.cells == [("1", "3"), ("2", "4")]
    assert len(table) == 2


def test_lines_are_those_of_the_file(file: Any) -> None:
    table = read(file('a,b\n1,"two\nlines"\n\n3,4\n'))
    assert table.lines == [2, 5]
    assert table.column("b") == ("two\nlines", "4")


def test_quotes_keep_separators_and_quotes(file: Any) -> None:
    table = read(file('a,b\n"x, y","say ""no"""\n1,2\n'))
    assert table.column("a")[0] == "x, y"
    assert table.column("b")[0] == 'say "no"'


def test_what_is_found_out_is_noted(file: Any) -> None:
    assert read(file("a,b\n1,2\n")).notes == []
    table = read(file("a;b\n1,5;2\n2,25;3\n"))
    assert (table.separator, table.decimal) == (";", ",")
    assert table.notes == [
        "semicolons stand between the values",
        "commas stand before decimals: 1,5 is 1.5",
    ]


def test_windows_1252_is_read_and_noted(file: Any) -> None:
    table = read(file("a,b\nok,1\ncafé,2\n".encode("cp1252")))
    assert table.column("a")[1] == "café"
    assert "line 3 is not UTF-8" in table.notes[0]


@pytest.mark.parametrize(("content", "words"), [
    ("", "is empty"),
    ("\n\n", "is empty"),
    ("a,b\n", "has names, but no rows"),
    ("a,b\n1,2\n3\n4,5,6\n", "line 3 of t.csv has 1 value for 2 columns, the first of 2 such"),
    ("a,b,a\n1,2,3\n", "names two columns 'a': 1 and 3"),
    ("1,2\n3,4\n", "line 1 of t.csv holds numbers"),
    ('a,b\n1,2\n3,"4\n5,6\n', "the quotes of line 3 of t.csv do not close"),
    ('a,b\n1,"2"x\n', "the quotes of line 2"),
    (b"PK\x03\x04more", "Excel"),
    (b"\x1f\x8bmore", "gzip"),
    (b"a,b\n1,\x00\n", "zero bytes"),
])  # fmt: skip
def test_what_is_no_table_is_refused(content: Any, words: str, file: Any) -> None:
    with pytest.raises(DataError) as told:
        read(file(content))
    assert words in told.value.what


def test_settings_of_reading(file: Any) -> None:
    path = file("a;b\n1.5;2\n")
    assert read(path, ";").notes == []
    assert read(path, ",").names == ["a;b"]
    assert read(file("a\tb\n1\t2\n"), "tab").names == ["a", "b"]
    assert read(path, decimal=",").decimal == ","
    with pytest.raises(ArgumentError, match="unknown separator"):
        read(path, ":")
    with pytest.raises(ArgumentError, match="decimal"):
        read(path, decimal="x")
    with pytest.raises(FileNotFoundError):
        read(path + "x")
    with pytest.raises(ArgumentError, match='did you mean "a"'):
        read(path).column("A")


def test_a_column_without_a_name_gets_one(file: Any) -> None:
    table = read(file(",b\n1,2\n"))
    assert table.names == ["column 1", "b"]
    assert "has no name" in table.notes[0]


@given(st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=2), min_size=1, max_size=8))
def test_whatever_is_written_is_read_again(rows: list[list[str]]) -> None:
    import csv
    import io
    import tempfile
    from pathlib import Path

    rows = [[cell.replace("\0", "").replace("\r", "") for cell in row] for row in rows]
    out = io.StringIO()
    csv.writer(out).writerows([["first", "second"], *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(out.getvalue().encode("utf-8", "replace"))
        table = read(path, ",", ".")
    expected = [[c.encode("utf-8", "replace").decode() for c in row] for row in rows]
    assert [list(row) for row in zip(*table.cells, strict=True)] == expected


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "decimal", "value"), [
    ("1", ".", 1.0), (" -2.5 ", ".", -2.5), ("1e3", ".", 1000.0), ("1,234", ".", 1234.0),
    ("1,234,567.5", ".", 1234567.5), ("1,5", ",", 1.5), (",5", ",", 0.5), ("1.234,5", ",", 1234.5),
    ("1.234", ",", 1234.0), ("+3", ".", 3.0), ("007", ".", 7.0),
])  # fmt: skip
def test_cells_as_numbers(cell: str, decimal: str, value: float) -> None:
    found, odd = numbers([cell], decimal)
    assert odd == []
    assert found[0] == value


def test_a_point_marks_thousands_or_nothing_where_commas_are_decimal() -> None:
    found, odd = numbers(["5.389", "0.123", "1,5"], ",")  # 5389 beside 0.123 would be two scales
    assert odd == [1]
    assert found[[0, 2]].tolist() == [5389.0, 1.5]


def test_all_at_once_or_one_by_one_numbers_are_the_same() -> None:
    cells = ["1", " 2.5 ", "-1e-3", "nan", "7e300", "+0"]
    assert np.array_equal(numbers(cells)[0], numbers([*cells, ""])[0][:-1], equal_nan=True)
    assert numbers(["1", "1_000"])[1] == [1]
    assert numbers(["1", "-999"], ".", ("-999",))[0].tolist()[0] == 1.0
    assert np.isnan(numbers(["1", "-999"], ".", ("-999",))[0][1])


def test_words_for_nothing_in_every_row_are_a_text() -> None:
    lines, wishes = list(range(2, 42)), Wishes()
    assert "'none' in every row" in column("b", ["none"] * 40, lines, ".", wishes).left_out
    mixed = column("b", ["none", "-"] * 20, lines, ".", wishes)
    assert (mixed.kind, mixed.left_out) == ("category", "")


def test_texts_that_are_almost_numbers_are_told() -> None:
    lines, wishes = list(range(2, 42)), Wishes()
    prices = column("b", [f"${k}.50" for k in range(40)], lines, ".", wishes)
    assert "numbers with a unit ('$0.50'): take that away" in prices.left_out
    few = column("b", ["5%", "10%"] * 20, lines, ".", wishes)
    assert (few.kind, few.left_out) == ("category", "")
    half = column("b", ["10", "big"] * 20, lines, ".", wishes)
    assert half.notes == ("it holds numbers (10) and texts ('big'): all are read as categories",)


@pytest.mark.parametrize("cell", ["1_000", "1,5", "1,23,4", "x", "1 2", "5%", "0x10", "1.2.3"])
def test_cells_that_are_no_numbers(cell: str) -> None:
    found, odd = numbers([cell])
    assert odd == [0]
    assert np.isnan(found[0])


def test_what_stands_for_nothing() -> None:
    words = ["", " ", "NA", "n/a", "NaN", "null", "NULL", "?", "#N/A"]
    assert all(map(missing, words))
    found, odd = numbers([*words, "none", "-", "--", "gone"], also_missing={"gone"})
    assert np.isnan(found).all()
    assert odd == []
    assert not missing("none")  # which may be a category


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_as_python_writes_them(value: float) -> None:
    found, odd = numbers([repr(value)])
    assert odd == []
    assert found[0] == value


@pytest.mark.parametrize(("content", "decimal", "said"), [
    ("a;b\n1,5;2\n", ",", "commas stand before decimals: 1,5"),
    ("a;b\n1,234;2\n", ",", "if commas mark thousands: --decimal ."),
    ('a,b\n"1,5",2\n', ",", "commas stand before decimals"),
    ('a,b\n"1,234",2\n', ".", "commas mark thousands: 1,234 is 1234"),
    ("a,b\n1.5,2\n", ".", ""),
    ("a;b\n1.5;2\n", ".", ""),
])  # fmt: skip
def test_decimal_commas_are_found_and_said(
    content: str, decimal: str, said: str, file: Any
) -> None:
    table = read(file(content))
    assert table.decimal == decimal
    assert said in " ".join(table.notes)


# -- columns ---------------------------------------------------------------------------------------


def seen(cells: list[str], name: str = "x", **wishes: Any) -> Any:
    lines = list(range(2, 2 + len(cells)))
    return column(name, cells, lines, ".", Wishes(**wishes))


def test_kinds_of_columns() -> None:
    assert seen(["1.5", "2", "3"]).kind == "number"
    assert seen(["red", "blue", "red"]).kind == "category"
    assert seen(["1", "2", "1"], text=("x",)).kind == "category"
    found = seen(["1.5", "", "NA", "2"])
    assert found.gaps == [1, 2]
    assert np.isnan(found.values[1])
    assert seen(["red", "", "red"]).gaps == [1]


def test_a_text_among_numbers_is_refused_with_its_line() -> None:
    with pytest.raises(DataError, match="holds numbers, but 'oops' on line 5") as told:
        seen([*"12", "3", "oops", *"4567"])
    assert "--na 'oops'" in told.value.hint
    assert seen([*"12", "3", "oops", *"4567"], na=("oops",)).gaps == [3]
    with pytest.raises(DataError, match="'inf' on line 3"):
        seen(["1", "inf", "3"])


@pytest.mark.parametrize(("name", "cells", "why"), [
    ("x", ["5"] * 12, "it is 5 in every row"),
    ("x", ["red"] * 12, "it is 'red' in every row"),
    ("x", [""] * 12, "it is empty"),
    ("x", [str(k) for k in range(12)], "it counts the rows"),
    ("user_id", [str(7 * k % 97) for k in range(12)], "it looks like an identifier"),
    ("ID", [str(7 * k % 97) for k in range(12)], "it looks like an identifier"),
    ("x", [str(10**17 + 7 * k % 97 * 100) for k in range(12)], "huge whole numbers"),
    ("x", [f"name {k}" for k in range(12)], "another text in every row"),
    ("x", [f"2024-03-{k + 1:02d}" for k in range(12)], "it holds dates (2024-03-01)"),
    ("x", [f"{k + 1}.3.2024" for k in range(12)], "it holds dates"),
    ("x", ["2024-03-01T10:20:30Z"] * 6 + ["2024-03-02"] * 6, "it holds dates"),
])  # fmt: skip
def test_what_cannot_be_learned_from_is_left_out(name: str, cells: list[str], why: str) -> None:
    assert why in seen(cells, name).left_out
    if any(cells):
        assert seen(cells, name, keep=(name,)).left_out == ""


@pytest.mark.parametrize(("name", "cells"), [
    ("x", [f"{k * k}" for k in range(12)]),  # whole, all different, but no name of a key
    ("weight", [f"{k + 0.5}" for k in range(12)]),
    ("id", ["1", "1", "2"] * 4),
    ("x", [str(k) for k in range(5)]),  # too few to say
    ("valid", [str(7 * k % 97) for k in range(12)]),
])  # fmt: skip
def test_what_only_looks_odd_is_used(name: str, cells: list[str]) -> None:
    assert seen(cells, name).left_out == ""


def test_too_many_categories() -> None:
    cells = [f"c{k % 60}" for k in range(120)]
    assert "60 different texts" in seen(cells).left_out
    assert seen(cells, categories=60).left_out == ""


def test_digits_that_are_lost_are_said() -> None:
    found = seen(["12345678901234567", "5", "6", "5"])
    assert "12345678901234567 (line 2) has more digits" in found.notes[0]
    assert "007 (line 3) is read as a number" in seen(["5", "007", "5"]).notes[0]


def test_lines_as_one_reads_them() -> None:
    assert listed([7]) == "line 7"
    assert listed(range(2, 7)) == "lines 2, 3, 4, 5 and 1 more"


# -- the target ------------------------------------------------------------------------------------


def plan(content: str, target: str, file: Any, **settings: Any) -> Any:
    return planned(read(file(content)), target, **settings)


def columns_of(*columns: Any) -> str:
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([",".join("ay"[-len(columns) :]), *rows]) + "\n"


@pytest.mark.parametrize(("targets", "task", "classes"), [
    (["no", "yes"] * 10, "classification", ("no", "yes")),
    ([0, 1] * 10, "classification", ("0", "1")),
    ([1, 2, 3, 4] * 5, "classification", ("1", "2", "3", "4")),
    (["1.0", "2.0"] * 10, "classification", ("1", "2")),
    ([0.5, 1.5] * 10, "regression", ()),
    (list(range(20)), "regression", ()),
    ([k / 7 for k in range(20)], "regression", ()),
])  # fmt: skip
def test_the_task_follows_from_the_target(
    targets: list[Any], task: str, classes: tuple[str, ...], file: Any
) -> None:
    a = [k * k / 10 for k in range(20)]
    found = plan(columns_of(a, targets), "y", file)
    assert (found.task, found.classes) == (task, classes)
    assert found.why


def test_the_task_can_be_said(file: Any) -> None:
    content = columns_of([k * k / 10 for k in range(20)], [1, 2, 3, 4] * 5)
    found = plan(content, "y", file, task="regression")
    assert found.classes == ()
    assert found.y[:4].tolist() == [1, 2, 3, 4]
    assert "you said so" in found.why
    text = columns_of([k / 10 for k in range(20)], ["a", "b"] * 10)
    with pytest.raises(DataError, match="holds text, such as 'a'"):
        plan(text, "y", file, task="regression")
    with pytest.raises(ArgumentError, match="unknown task"):
        plan(content, "y", file, task="guess")


@pytest.mark.parametrize(("targets", "words"), [
    ([3] * 20, "is '3' in every row"),
    (["x"] * 20, "is 'x' in every row"),
    (["3", "3.0"] * 10, "is 3 in every row"),
    ([""] * 20, "has no value in any row"),
    ([f"text {k}" for k in range(20)], "20 different texts ('text 0') in 20 rows"),
    ([*range(19), "oops"], "holds numbers, but 'oops' on line 21"),
    ([*range(19), "inf"], "holds numbers, but 'inf' on line 21"),
])  # fmt: skip
def test_targets_that_cannot_be_learned(targets: list[Any], words: str, file: Any) -> None:
    with pytest.raises(DataError) as told:
        plan(columns_of([k * k / 10 for k in range(20)], targets), "y", file)
    assert words in told.value.what


def test_a_target_that_is_not_there(file: Any) -> None:
    with pytest.raises(ArgumentError) as told:
        plan(flowers(), "kinds", file)
    assert 'did you mean "kind"?' in told.value.hint


def test_names_of_columns_are_checked(file: Any) -> None:
    table = read(file(flowers()))
    with pytest.raises(ArgumentError, match="unknown column 'colour'"):
        planned(table, "kind", drop=("colour",))
    with pytest.raises(ArgumentError, match="is to be dropped"):
        planned(table, "kind", drop=("kind",))
    with pytest.raises(ArgumentError, match="unknown column 'x'"):
        planned(table, "kind", wishes=Wishes(keep=("x",)))
    with pytest.raises(DataError, match="no column is left"):
        planned(table, "kind", drop=("size", "color"))


def test_rows_without_a_target_are_left_out_and_said(file: Any) -> None:
    found = plan(columns_of([k / 3 for k in range(20)], [0, 1] * 9 + ["", "NA"]), "y", file)
    assert len(found.y) == len(found.table) == 18
    assert "no value on lines 20 and 21: left out" in found.notes[0]


def test_what_is_said_of_rows_and_leaks(file: Any) -> None:
    lines = flowers().splitlines()
    found = plan("\n".join([*lines, lines[1], lines[2]]), "kind", file)
    assert any("2 rows are there before (lines 42 and 43)" in note for note in found.notes)
    y = [k * k / 7 for k in range(20)]
    found = plan(columns_of(y, y), "y", file)
    assert any("'a' equals the target" in note for note in found.notes)


# -- the schema ------------------------------------------------------------------------------------


def test_rows_become_arrays(file: Any) -> None:
    found = plan(flowers(), "kind", file)
    schema = found.schema(range(40), gaps=False)
    assert schema.columns == ("size", "color")
    assert schema.categories == {"color": ("blue", "green", "red")}
    X = schema.features(found.table, [])
    assert X.shape == (40, 2)
    assert X[:3, 1].tolist() == [2, 0, 1]
    assert found.y[:4].tolist() == [0, 1, 0, 1]


def test_categories_are_those_of_the_training_rows(file: Any) -> None:
    found = plan(flowers(), "kind", file)
    schema = found.schema([0, 1], gaps=False)
    assert schema.categories == {"color": ("blue", "red")}
    notes: list[str] = []
    X = schema.features(found.table, notes)
    assert X[2, 1] == -1
    assert "does not know 'green'" in notes[0]
    assert "lines 4, 7" in notes[0]


def test_a_missing_text_is_a_category_where_training_rows_have_one(file: Any) -> None:
    content = "color,y\n" + "red,1\n,2\nNA,1\nblue,2\n" * 5
    found = plan(content, "y", file)
    schema = found.schema(range(20), gaps=False)
    assert schema.categories["color"] == ("(missing)", "blue", "red")
    assert schema.features(found.table, [])[:4, 0].tolist() == [2, 0, 0, 1]
    known = found.schema([0, 3], gaps=False)
    notes: list[str] = []
    assert known.features(found.table, notes)[1, 0] == -1
    assert "'(missing)'" in notes[0]


def test_new_tables_are_checked(file: Any) -> None:
    found = plan(flowers(), "kind", file)
    schema = found.schema(range(40), gaps=False)
    with pytest.raises(DataError) as told:
        schema.features(read(file("sizes,color\n1,red\n")), [])
    assert "has no column 'size'" in told.value.what
    assert 'did you mean "sizes"' in told.value.hint
    with pytest.raises(DataError, match="'big' on line 3"):
        schema.features(read(file("color,size\nred,1\nred,big\n")), [])
    with pytest.raises(DataError, match="no value on line 3") as told:
        schema.features(read(file("color,size\nred,1\nred,\n")), [])
    assert "--missing median" in told.value.hint
    with pytest.raises(DataError, match="'inf' on line 2"):
        schema.features(read(file("color,size\nred,inf\n")), [])
    X = found.schema(range(40), gaps=True).features(read(file("color,size\nred,1\nred,\n")), [])
    assert np.isnan(X[1, 0])


def test_targets_of_new_tables(file: Any) -> None:
    schema = plan(flowers(), "kind", file).schema(range(40), gaps=False)
    y, gaps = schema.targets(read(file("kind,x\nb,1\na,1\n,1\n")))
    assert y[:2].tolist() == [1, 0]
    assert gaps == [2]
    with pytest.raises(DataError, match="'c' on line 2, expected one of a, b"):
        schema.targets(read(file("kind,x\nc,1\n")))
    with pytest.raises(ArgumentError, match="unknown column 'kind'"):
        schema.targets(read(file("x,z\nc,1\n")))
    numeric = Schema("y", ("a",), {}, ("1", "2"))
    assert numeric.targets(read(file("y,a\n2.0,1\n1,1\n")))[0].tolist() == [1, 0]
    values = Schema("y", ("a",), {})
    y, gaps = values.targets(read(file("y,a\n2.5,1\n-,1\n")))
    assert (y[0], gaps) == (2.5, [1])
    with pytest.raises(DataError, match="expected a finite number"):
        values.targets(read(file("y,a\nx,1\n")))


def test_a_schema_is_kept_as_json(file: Any) -> None:
    schema = plan(flowers(), "kind", file).schema(range(40), gaps=True)
    told = json.loads(json.dumps(schema.to_json()))
    assert Schema.from_json(told) == schema
    for key in told:
        with pytest.raises(DataError):
            Schema.from_json({**told, key: 3})
        with pytest.raises(DataError):
            Schema.from_json({k: v for k, v in told.items() if k != key})
    with pytest.raises(DataError):
        Schema.from_json({**told, "categories": {"color": [1]}})


def test_the_package_offers_what_it_says() -> None:
    assert set(tables.__all__) == {"Plan", "Schema", "Table", "planned", "read"}
