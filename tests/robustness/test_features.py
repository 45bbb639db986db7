"""Bits and signs: what is told apart, what is refused, and what the refusal says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scinn.robustness import detect_encoding, to_bits, to_signs

BITS = np.array([[0, 1, 1], [1, 0, 0]])
SIGNS = 1 - 2 * BITS

HOLDERS = {
    "int64": np.asarray,
    "int8": lambda a: a.astype(np.int8),
    "float32": lambda a: a.astype(np.float32),
    "fortran": np.asfortranarray,
    "list": np.ndarray.tolist,
    "frame": pd.DataFrame,
    "csr": sparse.csr_array,
    "csc matrix": sparse.csc_matrix,
    "coo of int8": lambda a: sparse.coo_array(a.astype(np.int8)),
    "objects": lambda a: a.astype(object),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_of_bits_and_of_signs(holder):
    for given_values, kind in ((BITS, "bits"), (SIGNS, "signs")):
        held = HOLDERS[holder](given_values)
        assert detect_encoding(held) == kind
        for encoding in ("auto", kind):
            signs = to_signs(held, encoding=encoding)
            assert signs.dtype == np.int8
            np.testing.assert_array_equal(signs, SIGNS)
            np.testing.assert_array_equal(to_bits(held, encoding=encoding), BITS)


def test_booleans_and_unsigned_integers_are_bits():
    for held in (BITS.astype(bool), BITS.astype(np.uint8), pd.DataFrame(BITS.astype(bool))):
        assert detect_encoding(held) == "bits"
        np.testing.assert_array_equal(to_signs(held), SIGNS)


@given(st.integers(0, 6), st.integers(0, 5), st.integers(0, 2**31 - 1))
def test_there_and_back(n_samples, n_features, seed):
    bits = np.random.default_rng(seed).integers(0, 2, (n_samples, n_features))
    signs = to_signs(bits, encoding="bits")
    assert signs.shape == bits.shape
    np.testing.assert_array_equal(to_bits(signs, encoding="signs"), bits)
    np.testing.assert_array_equal(to_signs(signs, encoding="signs"), signs)


def test_one_sample_and_one_value_keep_their_shape():
    np.testing.assert_array_equal(to_signs([0, 1]), [1, -1])
    assert to_signs(1, encoding="signs").shape == ()
    assert to_signs(0).shape == ()


def test_nothing_given_is_changed():
    bits = BITS.copy()
    bits.flags.writeable = False
    to_signs(bits)
    np.testing.assert_array_equal(bits, BITS)


@pytest.mark.parametrize(
    ("features", "encoding", "message"),
    [
        (
            [[0, 1, 2]],
            "auto",
            r"holds 0, 1, 2; values in either of \{0, 1\}, \{-1, \+1\} are wanted: binarise",
        ),
        ([[0.0, 0.25]], "auto", r"holds 0, 0.25;"),
        ([[-1, 0, 1]], "auto", r"holds -1, 0, 1;"),
        ([[0, 255]], "bits", r"holds 0, 255; values in \{0, 1\} are wanted: binarise"),
        ([[-1, 1]], "bits", r"holds -1, 1; values in \{0, 1\} are wanted: pass encoding='signs'"),
        ([[0, 1]], "signs", r"holds 0, 1; values in \{-1, \+1\} are wanted: pass encoding='bits'"),
        ([[1, 1]], "auto", r"holds only ones, which may be bits or signs: pass encoding='bits'"),
        (np.zeros((0, 3)), "auto", r"holds no values, which may be bits or signs"),
        ([[0, np.nan]], "auto", r"1 NaN or infinite value"),
        ([[0, 1]], "bit", r"encoding is 'bit'.*did you mean 'bits'"),
    ],
)
def test_refusals_say_what_came(features, encoding, message):
    with pytest.raises(ValueError, match=message) as caught:
        to_signs(features, encoding=encoding, name="samples")
    assert "encoding is" in str(caught.value) or str(caught.value).startswith("samples")


def test_only_ones_are_taken_where_it_is_said_what_they_are():
    assert to_signs([[1, 1]], encoding="bits").tolist() == [[-1, -1]]
    assert to_signs([[1, 1]], encoding="signs").tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ma.masked_array(BITS, mask=BITS > 0), "masked array, whose mask would be lost"),
        (np.asmatrix(BITS), r"numpy.matrix"),
        (None, "features is None"),
        ("0101", "features is a str"),
        (BITS.astype(complex), "complex"),
        (np.array([["0", "1"]]), "dtype <U1"),
    ],
)
def test_other_types_are_refused(features, message):
    with pytest.raises(TypeError, match=message):
        to_signs(features)


def test_a_sparse_matrix_too_large_to_be_written_out():
    with pytest.raises(ValueError, match="too large to be written out; pass fewer rows"):
        to_signs(sparse.csr_array((10**6, 10**4)))
