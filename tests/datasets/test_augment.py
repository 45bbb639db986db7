"""Cropping and mirroring: equal to the pixel-by-pixel definition, replayable batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn import reference
from scinn.datasets import CropFlip, crop_flip, draw_crop_flip, normalize_images, random_crop_flip
from scinn.random import Key


@st.composite
def batches(draw) -> np.ndarray:
    """Batches of 0 to 4 images of odd and even sizes, contiguous or not."""
    n, height, width, channels = (
        draw(st.integers(low, high)) for low, high in ((0, 4), *[(1, 7)] * 2, (1, 3))
    )
    dtype = draw(st.sampled_from([np.uint8, np.int16, np.float32, np.float64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = rng.integers(0, 128, size=(n, height, width, channels)).astype(dtype)
    return draw(st.sampled_from([lambda x: x, lambda x: x[:, ::-1], lambda x: np.asfortranarray(x)]))(images)


@given(batches(), st.integers(0, 9), st.booleans(), st.integers(0, 100), st.data())
def test_equals_the_definition(images, padding, flip, seed, draws):
    channels = images.shape[-1]
    fill = draws.draw(
        st.one_of(st.integers(0, 100), st.lists(st.integers(0, 100), min_size=channels, max_size=channels))
    )
    before = images.copy()
    found = random_crop_flip(images, Key(seed), padding=padding, flip=flip, fill=fill)
    chosen = draw_crop_flip(len(images), Key(seed), padding=padding, flip=flip)
    wanted = reference.augment.crop_flip(images, *chosen, padding, fill)
    assert found.dtype == images.dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(found, images)


@pytest.mark.parametrize("n_images", [0, 1])
def test_smallest_batches(n_images):
    images = np.full((n_images, 5, 3, 2), 7, dtype=np.uint8)
    np.testing.assert_array_equal(random_crop_flip(images, Key(0), padding=0), images)
    assert random_crop_flip(images, Key(0), padding=6).shape == images.shape
    assert random_crop_flip(np.zeros((n_images, 0, 3, 2)), Key(0)).shape == (n_images, 0, 3, 2)


def test_without_padding_and_flip_nothing_happens():
    images = np.random.default_rng(0).random((6, 4, 5, 3))
    np.testing.assert_array_equal(random_crop_flip(images, Key(3), padding=0, flip=False), images)


def test_a_batch_is_replayed_alone():
    images = np.random.default_rng(0).integers(0, 256, size=(16, 8, 8, 3)).astype(np.uint8)
    key = Key(5)
    batches = [random_crop_flip(images, key.child("augment", 0, step)) for step in range(4)]
    np.testing.assert_array_equal(random_crop_flip(images, key.child("augment", 0, 3)), batches[3])
    assert not np.array_equal(batches[2], batches[3])


def test_crops_and_mirrors_have_streams_of_their_own():
    both = draw_crop_flip(50, Key(1), padding=4)
    np.testing.assert_array_equal(draw_crop_flip(50, Key(1), padding=4, flip=False).rows, both.rows)
    np.testing.assert_array_equal(draw_crop_flip(50, Key(1), padding=2).mirrored, both.mirrored)


def test_decisions_are_uniform():
    chosen = draw_crop_flip(90_000, Key(2), padding=4)
    # five standard deviations of a count
    for places in (chosen.rows, chosen.columns):
        assert np.abs(np.bincount(places, minlength=9) - 10_000).max() < 5 * np.sqrt(10_000)
    assert abs(int(chosen.mirrored.sum()) - 45_000) < 5 * np.sqrt(22_500)
    assert abs(np.corrcoef(chosen.rows, chosen.columns)[0, 1]) < 5 / np.sqrt(90_000)


def test_bits_of_a_seed():
    chosen = draw_crop_flip(8, Key(0).child("augment", 0, 0))
    assert chosen.rows.tolist() == [1, 6, 1, 8, 7, 2, 5, 8]
    assert chosen.columns.tolist() == [2, 4, 7, 0, 2, 2, 4, 1]
    assert chosen.mirrored.astype(int).tolist() == [0, 1, 1, 0, 0, 0, 1, 0]


def test_border_of_normalised_images_can_be_black():
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    images = np.random.default_rng(0).integers(0, 256, size=(9, 6, 6, 3)).astype(np.uint8)
    first = normalize_images(random_crop_flip(images, Key(1), padding=3), mean, std)
    second = random_crop_flip(normalize_images(images, mean, std), Key(1), padding=3, fill=-mean / std)
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"images": np.zeros((4, 4, 3))}, ValueError, r"channels last; got shape \(4, 4, 3\).*image\[None\]"),
        ({"images": np.zeros((1, 4, 4, 3), dtype=complex)}, ValueError, "integers or floats, got complex128"),
        ({"key": 0}, TypeError, "scinn.random.Key, got int"),
        ({"padding": -1}, ValueError, "padding must be an integer of at least 0, got -1"),
        ({"padding": 1.5}, ValueError, "padding must be an integer"),
        ({"padding": True}, ValueError, "padding must be an integer"),
        ({"fill": 256}, ValueError, "uint8 images cannot hold 256"),
        ({"fill": -0.5}, ValueError, "uint8 images cannot hold"),
        ({"fill": np.nan}, ValueError, "uint8 images cannot hold"),
        ({"fill": [0, 0]}, ValueError, "3 of them, one a channel"),
    ],
)
def test_wrong_requests_are_named(options, error, message):
    given = {"images": np.zeros((2, 4, 4, 3), dtype=np.uint8), "key": Key(0), **options}
    with pytest.raises(error, match=message):
        random_crop_flip(given.pop("images"), given.pop("key"), **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": np.zeros(3, dtype=int)}, r"rows must have shape \(2,\)"),
        ({"columns": np.array([0, 9])}, "columns must be integers from 0 to 8"),
        ({"rows": np.array([-1, 0])}, "rows must be integers from 0 to 8"),
        ({"rows": np.zeros(2)}, "rows must be integers"),
        ({"mirrored": np.zeros(2, dtype=int)}, "mirrored must be bool"),
    ],
)
def test_decisions_that_do_not_fit_are_named(change, message):
    chosen = draw_crop_flip(2, Key(0))._replace(**change)
    assert isinstance(chosen, CropFlip)
    with pytest.raises(ValueError, match=message):
        crop_flip(np.zeros((2, 4, 4, 3)), chosen)
