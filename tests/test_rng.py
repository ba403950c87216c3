"""A stream is a function of its key: known vectors, replay, and the chances it promises."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import rng

SPLITMIX64 = [  # the first outputs of the reference implementation for seed 1234567
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
WORD = st.integers(0, 2**64 - 1)
SMALL = st.integers(0, 40)


def reference(state: int, count: int) -> list[int]:
    """Run splitmix64 as it was published: a state that moves on with every word."""
    out = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        out.append(z ^ (z >> 31))
    return out


def excess(counts: np.ndarray, expected: float) -> float:
    """Return by how many of its standard deviations chi-squared lies above its mean."""
    freedom = counts.size - 1
    return float((np.sum((counts - expected) ** 2) / expected - freedom) / np.sqrt(2 * freedom))


# Words


def test_words_are_splitmix64() -> None:
    assert rng.words(1234567, 5).tolist() == SPLITMIX64
    assert rng.words(1234567, 5).dtype == np.uint64


@given(WORD, SMALL)
def test_words_agree_with_the_published_loop(key: int, count: int) -> None:
    with np.errstate(all="raise"):
        assert rng.words(key, count).tolist() == reference(key, count)


@given(WORD, SMALL, SMALL)
def test_a_stream_can_be_entered_anywhere(key: int, start: int, count: int) -> None:
    whole = rng.words(key, start + count)
    np.testing.assert_array_equal(rng.words(key, count, start=start), whole[start:])


def test_the_counter_wraps_around() -> None:
    assert rng.words(7, 3, start=2**64 - 1).tolist()[1:] == rng.words(7, 2).tolist()


# Keys


@pytest.mark.parametrize(
    ("text", "hashed"),
    [("", 0xCBF29CE484222325), ("a", 0xAF63DC4C8601EC8C), ("foobar", 0x85944171F73967E8)],
)
def test_a_purpose_is_hashed_with_fnv_1a(text: str, hashed: int) -> None:
    assert rng._hashed(text) == hashed


def test_keys_never_change() -> None:
    assert rng.key(0, "weights") == 0x19DBDE52516CBF10
    assert rng.key(-1, "shuffle", 3, 2**70) == 0x0E38BA33AC343A2B


PARTS = st.lists(st.integers(-(2**200), 2**200) | st.integers(-2, 2), min_size=1, max_size=3)


@given(PARTS, PARTS)
def test_different_parts_give_different_keys(left: list[int], right: list[int]) -> None:
    same = rng.key(left[0], "test", *left[1:]) == rng.key(right[0], "test", *right[1:])
    assert same == (left == right)


@pytest.mark.parametrize(
    ("left", "right"),
    [((-1,), (2**64 - 1,)), ((0,), (2**64,)), ((0,), (0, 0)), ((2**64,), (0, 1)), ((1, 2), (2, 1))],
)
def test_parts_that_are_easily_taken_for_each_other_differ(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    assert rng.key(left[0], "test", *left[1:]) != rng.key(right[0], "test", *right[1:])


@given(st.text(max_size=8), st.text(max_size=8), st.integers())
def test_different_purposes_give_different_keys(left: str, right: str, seed: int) -> None:
    assert (rng.key(seed, left) == rng.key(seed, right)) == (left == right)


def test_different_purposes_give_unrelated_numbers() -> None:
    a, b = (rng.normal(rng.key(0, purpose), 10_000) for purpose in ("weights", "shuffle"))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05


def test_neighboring_steps_give_unrelated_first_numbers() -> None:
    first = [rng.uniform(rng.key(0, "dropout", step), 2)[0] for step in range(20_000)]
    counts, _ = np.histogram(first, bins=50, range=(0, 1))
    assert abs(excess(counts, 400)) < 5
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05


def test_a_key_is_a_python_integer_of_64_bits() -> None:
    for seed in (0, -1, 10**40, np.int64(3), np.uint64(2**64 - 1)):
        key = rng.key(seed, "test", np.int32(1))
        assert type(key) is int
        assert 0 <= key < 2**64
    assert rng.key(np.int64(3), "test") == rng.key(3, "test")


@pytest.mark.parametrize("seed", [1.0, "1", None, True, np.bool_(True), np.float64(2), [1]])
def test_a_seed_that_is_no_integer_is_refused(seed: object) -> None:
    with pytest.raises(TypeError, match=r"seed is .* expected an integer\n  try: seed=0"):
        rng.key(seed, "test")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="step is"):
        rng.key(0, "test", seed)  # type: ignore[arg-type]


# Numbers


def test_uniform_numbers_are_the_high_53_bits() -> None:
    drawn = rng.uniform(1234567, 5)
    assert (drawn * 2**53).tolist() == [word >> 11 for word in SPLITMIX64]


def test_uniform_numbers_are_evenly_spread() -> None:
    drawn = rng.uniform(rng.key(0, "test"), 1_000_000)
    counts, _ = np.histogram(drawn, bins=1000, range=(0, 1))
    assert abs(excess(counts, 1000)) < 5
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.005


def test_the_largest_word_stays_below_1() -> None:
    largest = rng._unit(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert largest.tolist() == [0.0, 1 - 2.0**-53]
    assert np.isfinite(np.log(1 - largest)).all()


def test_normal_numbers_have_the_moments_of_the_normal_distribution() -> None:
    drawn = rng.normal(rng.key(0, "test"), 1_000_000)
    # Tolerances are five standard deviations of each estimate: sqrt(1, 2, 15, 96) / 1000.
    moments = [np.mean(drawn**power) for power in (1, 2, 3, 4)]
    assert np.abs(np.subtract(moments, [0, 1, 0, 3])).max() < 0.05
    assert abs(moments[0]) < 0.005
    assert abs(moments[1] - 1) < 0.0071
    assert abs(np.mean(np.abs(drawn) < 1.959964) - 0.95) < 0.0011
    assert abs(np.corrcoef(drawn[::2], drawn[1::2])[0, 1]) < 0.0071  # the two of one pair


@given(WORD, SMALL, SMALL)
def test_fewer_numbers_are_the_first_of_more(key: int, few: int, more: int) -> None:
    few, more = sorted((few, more))
    for draw in (rng.uniform, rng.normal, lambda key, n: rng.integers(key, 10, n)):
        np.testing.assert_array_equal(draw(key, few), draw(key, more)[:few])


@given(WORD, st.lists(st.integers(0, 4), max_size=3))
def test_the_shape_only_folds_the_stream(key: int, shape: list[int]) -> None:
    size = int(np.prod(shape))
    for draw in (rng.uniform, rng.normal, lambda key, n: rng.integers(key, 10, n)):
        drawn = draw(key, tuple(shape))
        assert drawn.shape == tuple(shape)
        np.testing.assert_array_equal(drawn.ravel(), draw(key, size))


@given(WORD, st.integers(1, 2**32))
def test_integers_stay_below_high(key: int, high: int) -> None:
    drawn = rng.integers(key, high, 5)
    assert drawn.dtype == np.int64
    assert drawn.tolist() == [((word >> 32) * high) >> 32 for word in reference(key, 5)]
    assert (drawn >= 0).all()
    assert (drawn < high).all()


def test_integers_are_equally_likely() -> None:
    counts = np.bincount(rng.integers(rng.key(0, "test"), 7, 70_000), minlength=7)
    assert abs(excess(counts, 10_000)) < 5


# Permutations


@given(WORD, SMALL)
def test_a_permutation_is_fisher_and_yates(key: int, n: int) -> None:
    order = list(range(n))
    for i, word in zip(range(n - 1, 0, -1), reference(key, n), strict=False):
        j = ((word >> 32) * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    drawn = rng.permutation(key, n)
    assert drawn.dtype == np.int64
    assert drawn.tolist() == order
    assert sorted(order) == list(range(n))


def test_all_orders_of_three_are_about_equally_likely() -> None:
    seen = Counter(tuple(rng.permutation(rng.key(seed, "test"), 3)) for seed in range(6000))
    assert set(seen) == set(permutations(range(3)))
    assert abs(excess(np.array(list(seen.values())), 1000)) < 5


def test_every_place_is_equally_likely() -> None:
    where = np.zeros((10, 10))
    for seed in range(5000):
        where[np.arange(10), rng.permutation(rng.key(seed, "test"), 10)] += 1
    assert abs(excess(where, 500)) < 5


# Manners


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda: rng.words(0, -1), "count is -1"),
        (lambda: rng.uniform(0, (2, -3)), "shape is -3"),
        (lambda: rng.normal(0, -1), "shape is -1"),
        (lambda: rng.permutation(0, -1), "n is -1"),
        (lambda: rng.permutation(0, 2**32 + 1), "at most 2\\^32"),
        (lambda: rng.integers(0, 0, 1), "high is 0"),
        (lambda: rng.integers(0, 2**32 + 1, 1), "high is 4294967297"),
    ],
)
def test_impossible_sizes_are_refused(draw, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"{text}.*\n  try: "):
        draw()


def test_numpys_own_random_state_is_left_alone() -> None:
    before = repr(np.random.get_state())
    rng.normal(rng.key(0, "test"), 10)
    rng.permutation(rng.key(0, "test"), 10)
    assert repr(np.random.get_state()) == before
