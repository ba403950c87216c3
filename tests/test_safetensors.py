"""The file format: what is written is read back, and what is broken is refused with a sentence."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid import files
from pellucid.errors import ArgumentError, DataError
from pellucid.safetensors import CODES, LARGEST_HEADER, Listing, listing, write

MIB = 2**20
LONGEST = min(LARGEST_HEADER, 4 * MIB)  # so that a fault does not fill the memory
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and limits are those of POSIX")


def arrays() -> dict[str, Any]:
    """One array of every type, and of every way to lie in memory."""
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    found: dict[str, Any] = {
        f"type {name}": np.arange(6).reshape(2, 3).astype(name) for name in CODES
    }
    return found | {
        "plain": base, "turned": base.T, "Fortran": np.asfortranarray(base.astype(float)),
        "every other": base[::2, 1::3], "backwards": base[::-1, ::-1], "number": np.float64(2.5),
        "empty": np.zeros((0, 3), np.float32), "nothing": np.zeros((2, 0)),
        "stretched": np.broadcast_to(base[:, :1], (4, 5)),
        "odd": np.array([np.nan, np.inf, -0.0, 5e-324]),
    }  # fmt: skip


def same(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = {name: np.asarray(a) for name, a in arrays().items()}
    write(tmp_path / "a", written, {"about": "ünï \u2028"})
    found = listing(tmp_path / "a")
    assert found.metadata == {"about": "ünï \u2028"} and list(found.entries) == list(written)
    for name, array in written.items():
        assert same(found.array(name), array), name


def test_a_file_is_read_into_any_array(tmp_path: Path) -> None:
    big = np.random.default_rng(0).normal(size=(700, 500))  # more than is read at a time
    write(tmp_path / "a", {"big": big}, {})
    for target in (np.zeros_like(big), np.zeros(big.T.shape).T, np.zeros((1400, 500))[::2]):
        listing(tmp_path / "a").fill({"W": target}, {"W": "big"})
        assert np.array_equal(target, big)
    single = np.zeros(big.shape, np.float32)
    listing(tmp_path / "a").fill({"big": single})
    assert np.array_equal(single, big.astype(np.float32))


def test_what_has_no_place_in_the_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'z' is of type complex128"):
        write(tmp_path / "a", {"z": np.zeros(2, complex)}, {})
    for name in ("../W", "W\0", "", "\ud800", "__metadata__"):
        with pytest.raises(ArgumentError, match="cannot be an array's name"):
            write(tmp_path / "a", {name: np.zeros(2)}, {})
    with pytest.raises(ArgumentError, match="description is"):
        write(tmp_path / "a", {}, {"long": "x" * LONGEST})
    assert not os.listdir(tmp_path)


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(*offsets: Any, dtype: Any = "F32", shape: Any = (2,)) -> dict[str, Any]:
    shape = list(shape) if isinstance(shape, tuple) else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({"W": [1.0]}))
    return file.getvalue()


def saved_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(40))
    return file.getvalue()


W = entry(0, 8)
EIGHT = bytes(8)
# what a broken file is, and what is said of it
BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "a header of 0 bytes in a file of 0"),
    "seven bytes": (bytes(7), "in a file of 7"),
    "a header of 2^64-1": (file_of({}, length=2**64 - 1), "18,446,744,073,709,551,615"),
    "a header of 1 TB": (file_of({}, length=10**12), "a header of 1,000,000,000,000 bytes"),
    "a header beyond the end": (file_of({}, length=3), "a header of 3 bytes in a file of 10"),
    "a header that is too long": (file_of(b"{}" + b" " * LONGEST), "the most that is read"),
    "an empty header": (file_of(b""), "a header of 0 bytes"),
    "a list": (file_of(b"[1, 2]"), "its header is no table of arrays"),
    "no JSON": (file_of(b"{x}"), "cannot be read as JSON"),
    "not UTF-8": (file_of(b'{"\xff": 1}'), "cannot be read as JSON"),
    "deep lists": (file_of(b'{"a":' + b"[" * 100_000), "cannot be read as JSON"),
    "deep tables": (file_of(b'{"a":' * 50_000), "cannot be read as JSON"),
    "a long number": (file_of(b'{"a":' + b"1" * 9000 + b"}"), "cannot be read as JSON"),
    "NaN": (file_of(b'{"a": NaN}'), "NaN is no number of JSON"),
    "a pickle": (pickle.dumps({"W": [1.0] * 9}), "it is a pickle"),
    "a zip": (zipped(), "it is a zip archive"),
    "an array of NumPy": (saved_array(), "it is one array of NumPy"),
    "metadata a list": (file_of({"__metadata__": [1]}), "no table of texts"),
    "metadata a number": (file_of({"__metadata__": {"a": 1}}), "no table of texts"),
    "a name twice": (file_of(b'{"a": 1, "a": 2}'), "'a' stands there twice"),
    "a setting twice": (
        file_of(b'{"W": {"dtype": "F32", "dtype": "F64"}}'), "'dtype' stands there twice"),
    "a name with ../": (file_of({"../W": W}, EIGHT), "cannot be an array's name"),
    "a name within ..": (file_of({"a/../W": W}, EIGHT), "cannot be an array's name"),
    "a name with \\": (file_of({"..\\W": W}, EIGHT), "cannot be an array's name"),
    "a name from /": (file_of({"/etc/passwd": W}, EIGHT), "cannot be an array's name"),
    "a name with NUL": (file_of({"W\0": W}, EIGHT), "cannot be an array's name"),
    "a name with a line": (file_of({"W\nb": W}, EIGHT), "cannot be an array's name"),
    "a name half a letter": (file_of(b'{"\\ud800": 1}'), "cannot be an array's name"),
    "no name": (file_of({"": W}, EIGHT), "cannot be an array's name"),
    "an array a number": (file_of({"W": 5}), "is not described by"),
    "an array lacks dtype": (file_of({"W": {"shape": [1]}}), "is not described by"),
    "an array says more": (file_of({"W": W | {"code": "x"}}, EIGHT), "is not described by"),
    "an unknown dtype": (file_of({"W": entry(0, 8, dtype="F8")}, EIGHT), "of type 'F8'"),
    "dtype a list": (file_of({"W": entry(0, 8, dtype=["F32"])}, EIGHT), "of type ['F32']"),
    "shape a text": (file_of({"W": entry(0, 8, shape="2")}, EIGHT), "has the shape '2'"),
    "shape negative": (file_of({"W": entry(0, 8, shape=(-2, -1))}, EIGHT), "has the shape [-2"),
    "shape true": (file_of({"W": entry(0, 8, shape=[2, True])}, EIGHT), "has the shape"),
    "shape a fraction": (file_of({"W": entry(0, 8, shape=[2.0])}, EIGHT), "has the shape"),
    "shape of 40 axes": (file_of({"W": entry(0, 8, shape=[1] * 39 + [2])}, EIGHT), "the shape"),
    "shape huge": (file_of({"W": entry(0, 8, shape=[10**18] * 9)}, EIGHT), "more than 2^63 bytes"),
    "offsets one": (file_of({"W": entry(0)}, EIGHT), "not from one byte to another"),
    "offsets texts": (file_of({"W": entry("0", "8")}, EIGHT), "not from one byte to another"),
    "offsets fractions": (file_of({"W": entry(0.0, 8.0)}, EIGHT), "not from one byte to another"),
    "offsets true": (file_of({"W": entry(False, True)}, EIGHT), "not from one byte to another"),
    "offsets negative": (file_of({"W": entry(-8, 0)}, EIGHT), "not from one byte to another"),
    "offsets turned": (file_of({"W": entry(8, 0)}, EIGHT), "needs 8 bytes, but lies from 8 to 0"),
    "too few bytes": (file_of({"W": entry(0, 4)}, EIGHT), "needs 8 bytes, but lies from 0 to 4"),
    "beyond the end": (file_of({"W": W}, bytes(7)), "ends at byte 8 of the data"),
    "far beyond the end": (
        file_of({"W": entry(0, 2**45, shape=[2**43])}), "of which there are 0"),
    "an overlap": (
        file_of({"W": W, "b": entry(4, 12)}, bytes(12)), "'b' overlaps what is before it, 'W'"),
    "the same bytes": (file_of({"W": W, "b": W}, EIGHT), "overlaps what is before it"),
    "a hole": (file_of({"W": W, "b": entry(12, 20)}, bytes(20)), "'b' leaves a hole before it"),
    "a hole at first": (file_of({"W": entry(8, 16)}, bytes(16)), "'W' leaves a hole before it"),
    "trailing bytes": (file_of({"W": W}, bytes(9)), "1 bytes at its end belong to no array"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_what_is_wrong(name: str, tmp_path: Path) -> None:
    """With no more memory than the file's size and 64 MiB."""
    content, words = BROKEN[name]
    path = tmp_path / "broken.bin"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            listing(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.what.startswith("broken.bin") and words in caught.value.what
    assert peak < len(content) + 64 * MIB


UNITS = [
    b"[],",
    b"{},",
    b'{"":{}},',
    b'{"":[]},',
    b'"ab",',
    b"1.5,",
    b"[[]],",
    b'"\xf0\x9f\x98\x80",',
]


@pytest.mark.parametrize("unit", UNITS)
def test_the_longest_header_takes_little_memory(unit: bytes, tmp_path: Path) -> None:
    """Whatever JSON it is made of."""
    text = b'{"a":[' + unit * ((LONGEST - 10) // len(unit))
    text = text[:-1] + b"]}"
    (tmp_path / "a").write_bytes(file_of(text))
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            listing(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < len(text) + 64 * MIB
    finally:
        tracemalloc.stop()


def test_arrays_are_read_without_memory_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "a", {"W": np.zeros((16, MIB), np.float32)}, {})
    target = np.ones((16, MIB), np.float32)
    tracemalloc.start()
    try:
        listing(tmp_path / "a").fill({"W": target})
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert not target.any()


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ArgumentError, match="there is no file"):
            listing(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # to read from it would wait for ever
        with pytest.raises(ArgumentError, match="there is no file"):
            listing(tmp_path / "pipe")


def test_a_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    write(tmp_path / "a", {"W": np.zeros(10)}, {})
    found = listing(tmp_path / "a")
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    with pytest.raises(DataError, match="a has changed meanwhile"):
        found.array("W")


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    write(tmp_path / "a", {"W": np.zeros(10)}, {})
    found = listing(tmp_path / "a")
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    monkeypatch.setattr("pellucid.safetensors._stamp", lambda _: found.stamp)
    with pytest.raises(DataError, match="ends within 'W'"):
        found.array("W")


def test_a_file_that_was_replaced_is_not_taken_for_the_one_that_was_looked_through(
    tmp_path: Path,
) -> None:
    """It may hold as many bytes, elsewhere."""
    write(tmp_path / "a", {"W": np.zeros(4), "b": np.ones(4)}, {})
    found, target = listing(tmp_path / "a"), np.full(4, 7.0)
    write(tmp_path / "a", {"b": np.ones(4), "W": np.zeros(4)}, {})
    with pytest.raises(DataError, match="changed meanwhile"):
        found.fill({"W": target})
    assert (target == 7).all()


WHOLE = file_of(
    {"__metadata__": {"a": "b"}, "W": W, "b": entry(8, 24, dtype="F64")}, bytes(range(24))
)


def looked_through(content: bytes, path: Path) -> Listing | None:
    """Read a file and its arrays; None where it is refused. Nothing else may come of it."""
    path.write_bytes(content)
    try:
        found = listing(path)
        for name in found.entries:
            found.array(name)
    except DataError as error:
        assert error.what
        return None
    return found


def test_truncation_at_every_byte(tmp_path: Path) -> None:
    assert looked_through(WHOLE, tmp_path / "a")
    for length in range(len(WHOLE)):
        assert looked_through(WHOLE[:length], tmp_path / "a") is None


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4))
def test_changed_bytes_give_a_file_or_a_sentence(changes: Any, tmp_path: Path) -> None:
    content = bytearray(WHOLE)
    for at, value in changes:
        content[at] = value
    looked_through(bytes(content), tmp_path / "a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside),
    max_leaves=12,
)
NUMBERS = st.integers(-3, 40) | st.integers(2**62, 2**66) | JSON
ENTRIES = st.fixed_dictionaries({
    "dtype": st.sampled_from(["F32", "F64", "U8", "F16", "X", 3]),
    "shape": st.lists(NUMBERS, max_size=3) | JSON,
    "data_offsets": st.lists(NUMBERS, min_size=2, max_size=2) | JSON,
})  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.dictionaries(st.sampled_from(["W", "b", "__metadata__", "../x"]), ENTRIES | JSON),
    size=st.integers(0, 64),
)
def test_any_header_gives_a_file_or_a_sentence(header: Any, size: int, tmp_path: Path) -> None:
    found = looked_through(file_of(header, bytes(size)), tmp_path / "a")
    if found is not None:
        assert sum(e.stop - e.start for e in found.entries.values()) == size


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_file_or_a_sentence(content: bytes, tmp_path: Path) -> None:
    looked_through(content, tmp_path / "a")


# -- all or nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", {"W": np.zeros(3)}, {})
    before = (tmp_path / "a").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "a", {"W": np.ones(3)}, {})
    assert (tmp_path / "a").read_bytes() == before and os.listdir(tmp_path) == ["a"]


def test_a_write_reaches_the_disk_before_the_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file, then the rename, then the folder that the name is in."""
    done: list[str] = []
    flush, rename = os.fsync, os.replace

    def fsync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        flush(handle)

    def replace(a: Any, b: Any) -> None:
        done.append("rename")
        rename(a, b)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    files.write(tmp_path / "a", [b"x"])
    assert done[:2] == ["file", "rename"]
    if Path("/proc/self/fd").is_dir():
        assert done == ["file", "rename", "folder"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far" / "a")
    files.write(tmp_path / "near", [b"x"])
    assert (tmp_path / "near").is_symlink() and (tmp_path / "far" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("length", [1, 200, 201, 255])
def test_names_of_every_length(length: int, tmp_path: Path) -> None:
    """And what a killed process leaves of them is found again."""
    path = tmp_path / ("ä" * (length // 2) + "x" * (length % 2))
    files.write(path, [b"x"])
    assert path.read_bytes() == b"x" and os.listdir(tmp_path) == [path.name]
    part = tmp_path / f"{files._stem(path)}0000abcd-1-x{files.LITTER}"
    part.write_bytes(b"")
    os.utime(part, (0, 0))
    files.write(path, [b"y"])
    assert path.read_bytes() == b"y" and os.listdir(tmp_path) == [path.name]


@POSIX
def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    """A rename would put a file in the place of /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for name in ("pipe", "link", "null"):
        with pytest.raises(ArgumentError, match="is no file that can be replaced"):
            files.write(tmp_path / name, [b"x"])
    with pytest.raises(ArgumentError, match="is no file name"):
        files.write(tmp_path / "a\0b", [b"x"])
    assert sorted(os.listdir(tmp_path)) == ["link", "null", "pipe"]


@POSIX
def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write(path, [b"secret"])
    path.chmod(0o600)
    files.write(path, [b"secret too"])
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o400)
    with pytest.raises(PermissionError, match="read-only"):
        files.write(path, [b"x"])
    assert path.read_bytes() == b"secret too" and os.listdir(tmp_path) == ["a"]


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    text = textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, text=True
    )


@POSIX
def test_a_killed_write_leaves_the_old_file_and_the_next_one_no_litter(tmp_path: Path) -> None:
    files.write(tmp_path / "a", [b"old"])
    files.write(tmp_path / "ab", [b"another"])
    slow = child(
        """
        import sys, time
        from pathlib import Path
        from pellucid import files

        def parts():
            yield b"half"
            print("writing", flush=True)
            time.sleep(60)

        files.write(Path(sys.argv[1]), parts())
        """,
        str(tmp_path / "a"),
    )
    assert slow.stdout is not None and slow.stdout.readline() == "writing\n"
    parts = [name for name in os.listdir(tmp_path) if name.endswith(".part")]
    assert len(parts) == 1
    files.write(tmp_path / "a", [b"meanwhile"])  # that process is alive, and its part is its own
    assert parts[0] in os.listdir(tmp_path)
    slow.send_signal(signal.SIGKILL)
    slow.wait()
    slow.stdout.close()
    assert (tmp_path / "a").read_bytes() == b"meanwhile"
    files.write(tmp_path / "ab", [b"another"])  # of another name: it is none of its business
    assert parts[0] in os.listdir(tmp_path)
    files.write(tmp_path / "a", [b"new"])
    assert sorted(os.listdir(tmp_path)) == ["a", "ab"]


def test_litter_of_other_machines_goes_when_it_is_old(tmp_path: Path) -> None:
    old, fresh = (tmp_path / f".a.0000abcd-1-{k}.part" for k in "xy")
    for path in (old, fresh):
        path.write_bytes(b"")
    long_ago = time.time() - 2 * files.OLD
    os.utime(old, (long_ago, long_ago))
    files.write(tmp_path / "a", [b"x"])
    assert sorted(os.listdir(tmp_path)) == [fresh.name, "a"]


@POSIX
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path) -> None:
    """With a limit of the system's own, so that a part of the file is written."""
    files.write(tmp_path / "a", [b"old"])
    small = child(
        """
        import resource, sys
        from pathlib import Path
        from pellucid import files

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            files.write(Path(sys.argv[1]), [bytes(60_000)] * 4)
        except OSError as error:
            print("refused", error.errno)
        """,
        str(tmp_path / "a"),
    )
    assert small.communicate()[0].startswith("refused")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


# -- the official library ------------------------------------------------------------------------


@pytest.mark.conformance
def test_the_official_library_reads_our_files(tmp_path: Path) -> None:
    official = pytest.importorskip("safetensors")
    theirs = pytest.importorskip("safetensors.numpy")
    written = {name: np.asarray(a) for name, a in arrays().items()}
    write(tmp_path / "a", written, {"about": "this"})
    found = theirs.load_file(tmp_path / "a")
    assert set(found) == set(written)
    for name, array in written.items():
        assert same(found[name], array), name
    with official.safe_open(tmp_path / "a", "np") as file:
        assert file.metadata() == {"about": "this"}


@pytest.mark.conformance
def test_we_read_files_of_the_official_library(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.numpy")
    written = {name: np.ascontiguousarray(a) for name, a in arrays().items()}
    theirs.save_file(written, tmp_path / "a", {"about": "this"})
    found = listing(tmp_path / "a")
    assert set(found.entries) == set(written) and found.metadata == {"about": "this"}
    for name, array in written.items():
        assert same(found.array(name), array), name


@pytest.mark.conformance
def test_halves_of_float32_are_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("safetensors.torch")
    values = torch.tensor([[1.0, -2.5, 3e38], [float("inf"), 0.1, 1e-30]]).bfloat16()
    theirs.save_file({"W": values}, tmp_path / "a")
    assert np.array_equal(listing(tmp_path / "a").array("W"), values.float().numpy())


@pytest.mark.conformance
@pytest.mark.parametrize("name", BROKEN)
def test_what_the_official_library_refuses_we_refuse(name: str, tmp_path: Path) -> None:
    """And more: names that stand twice, names that are paths, and long headers."""
    official = pytest.importorskip("safetensors")
    (tmp_path / "a").write_bytes(BROKEN[name][0])
    stricter = ("twice", "a name", "no name", "40 axes", "too long", "says more")
    try:
        with official.safe_open(tmp_path / "a", "np"):
            assert any(word in name for word in stricter), name
    except official.SafetensorError:
        pass
