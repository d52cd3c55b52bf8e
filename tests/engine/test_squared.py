import numpy as np
import pytest
from PIL import Image

from engine.squared import square_labels


def test_no_label_is_invented():
    labels = np.zeros((6, 6), np.int32)
    labels[2:4, 2:4] = 300
    labels[2:4, 4:] = 900
    out = square_labels(labels, (1.0, 1.0), 0.25)
    assert out.shape == (24, 24)
    assert set(np.unique(out)) == {0, 300, 900}
    assert abs((out == 300).sum() / 16 - 4) < 0.8


@pytest.mark.parametrize("pixel_mm", [0.17, 0.4, 1.0, 1.3, 3.1])
def test_each_pixel_takes_the_label_with_the_largest_share(pixel_mm):
    labels = np.random.default_rng(0).integers(0, 5, (14, 11)).astype(np.uint8)
    out = square_labels(labels, (1.0, 0.8), pixel_mm)
    shares = np.stack(
        [
            Image.fromarray((labels == label).astype(np.float32)).resize(out.shape[::-1], Image.Resampling.BILINEAR)
            for label in range(5)
        ]
    )
    own = np.take_along_axis(shares, out[None].astype(int), 0)[0]
    assert (own >= shares.max(axis=0) - 1e-5).all()
    lowest = (shares >= shares.max(axis=0) - 1e-5).argmax(axis=0)
    assert (out == lowest).all()
