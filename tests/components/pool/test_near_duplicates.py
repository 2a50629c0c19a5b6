import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.pool.near_duplicates import find_near_duplicates


def slow_reference(hashes: list[int], bits: int) -> list[int]:
    kept: list[int] = []
    leaders = []
    for row, value in enumerate(hashes):
        near = [other for other in kept if bin(hashes[other] ^ value).count("1") <= bits]
        leaders.append(near[0] if near else -1)
        if not near:
            kept.append(row)
    return leaders


@st.composite
def related_hashes(draw: st.DrawFn) -> list[int]:
    """Hashes of which many differ in few bits."""
    bases = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3))
    flips = st.lists(st.integers(0, 63), max_size=12)
    hashes = []
    for base, bits in draw(st.lists(st.tuples(st.sampled_from(bases), flips), max_size=30)):
        value = base
        for bit in bits:
            value ^= 1 << bit
        hashes.append(value)
    return hashes


@given(related_hashes(), st.sampled_from([0, 1, 2, 4, 7, 8, 12, 32, 64]))
def test_it_finds_what_comparing_all_pairs_finds(hashes, bits):
    found = find_near_duplicates(np.array(hashes, dtype=np.uint64), bits=bits)
    assert found.tolist() == slow_reference(hashes, bits)


def test_a_chain_of_small_changes_joins_only_what_is_near_the_image_kept():
    hashes = np.array([0b0, 0b11, 0b1111, 0b1100], dtype=np.uint64)
    assert find_near_duplicates(hashes, bits=2).tolist() == [-1, 0, -1, 0]


@pytest.mark.parametrize("bits", [-1, 65])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match=f"between 0 and 64, got {bits}"):
        find_near_duplicates(np.zeros(1, dtype=np.uint64), bits=bits)


def test_each_image_of_a_large_task_finds_the_one_kept():
    hashes = np.random.default_rng(0).integers(0, 2**64, size=20_000, dtype=np.uint64)
    hashes[1::2] = hashes[::2] ^ np.uint64(0b1011)
    leaders = find_near_duplicates(hashes, bits=4)
    assert np.array_equal(leaders[1::2], np.arange(0, 20_000, 2))
    assert (leaders[::2] == -1).all()


def test_no_hashes_have_no_duplicates():
    assert find_near_duplicates(np.zeros(0, dtype=np.uint64), bits=4).tolist() == []
