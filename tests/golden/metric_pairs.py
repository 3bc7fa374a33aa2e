"""Fixed pairs of images, drawn by integer arithmetic so that every machine gets the same bytes, and their
metrics by scikit-image alone. `python tests/golden/metric_pairs.py` writes `metrics.json` beside it."""

import hashlib
import json
from pathlib import Path

import numpy as np
from skimage.color import rgb2gray
from skimage.filters import rank
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.morphology import disk

GOLDEN = Path(__file__).with_name("metrics.json")
COLOUR = dict(channel_axis=-1)
GAUSSIAN = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)


def figure(height, width, shift=0):
    "A head, a striped body, two legs on grey, uint8 (height, width, 3); and their mask (height, width)."
    y, x = np.mgrid[:height, :width]
    y, x = 256 * y // height, 256 * x // height + 128 - 128 * width // height - shift
    head = (x - 128) ** 2 + (y - 50) ** 2 < 24**2
    body = (8 * abs(x - 128) < 3 * (y + 40)) & (y >= 74) & (y < 160)
    legs = (abs(abs(x - 128) - 24) < 14) & (y >= 160) & (y < 246)
    image = np.stack([228 + x // 32, 230 + y // 64, 236 - x // 64], -1)
    image[head] = 200, 160, 130
    image[body] = np.stack([40 + 150 * (y // 9 % 2), 60 + y // 4, 90 + x // 3], -1)[body]
    image[legs] = np.stack([30 + x // 16, 30 + y // 10, 80 + (x * y) % 23], -1)[legs]
    return image.clip(0, 255).astype(np.uint8), (head | body | legs).astype(np.uint8)


def noise(shape, seed):
    "Whole numbers from -128 to 127 from a multiplicative hash of the position."
    position = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed << 32)
    hashed = position * np.uint64(0x9E3779B97F4A7C15)
    hashed = (hashed ^ (hashed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return (hashed >> np.uint64(56)).astype(np.int64).reshape(shape) - 128


def box_blur(image, times):
    "Each pixel becomes the mean, rounded down, of itself and its four neighbours."
    for _ in range(times):
        padded = np.pad(image.astype(np.int64), ((1, 1), (1, 1), (0, 0)), "edge")
        vertical = padded[:-2, 1:-1] + padded[1:-1, 1:-1] + padded[2:, 1:-1]
        image = (vertical + padded[1:-1, :-2] + padded[1:-1, 2:]) // 5
    return image.astype(np.uint8)


def pairs():
    "name -> (generated, target, mask): uint8 (H, W, 3) twice and uint8 (H, W)."
    target, mask = figure(256, 256)
    narrow, narrow_mask = figure(256, 176)
    small, small_mask = figure(64, 64)
    flat = np.full((64, 64, 3), 90, np.uint8)
    return {
        "itself": (target, target, mask),
        "blurred": (box_blur(target, 12), target, mask),
        "noisy": ((target + noise(target.shape, 1) // 8).clip(0, 255).astype(np.uint8), target, mask),
        "moved": (figure(256, 256, shift=5)[0], target, mask),
        "darker": (target // 2, target, mask),
        "negative": (255 - target, target, mask),
        "unrelated": ((noise(target.shape, 2) + 128).astype(np.uint8), target, mask),
        "176 columns": (box_blur(narrow, 6), narrow, narrow_mask),
        "64 pixels": (box_blur(small, 2), small, small_mask),
        "flat target": (small, flat, small_mask),
    }


def between_white(image):
    "PATN's frame: white outer columns."
    border = round(image.shape[0] * 40 / 256)
    if image.shape[0] == image.shape[1]:
        image = image[:, border:-border]
    white = np.full((len(image), border, 3), 255, np.uint8)
    return np.concatenate([white, image, white], axis=1)


def reference_ssim(protocol, generated, target, mask):
    "The protocol as one call of scikit-image's function."

    # a flat image has no range: at least one grey level, as in the package
    def spread(image):
        return max(float(np.ptp(image)), 1.0)

    if protocol == "report":
        target = 127.5 * rgb2gray(target) + 127.5
        return structural_similarity(255 * rgb2gray(generated), target, data_range=spread(target))
    if protocol == "report_corrected":
        generated, target = 255 * rgb2gray(generated), 255 * rgb2gray(target)
        return structural_similarity(generated, target, data_range=spread(target))
    if protocol in ("pg2", "skimage"):
        return structural_similarity(generated, target, data_range=255, **COLOUR)
    if protocol == "pg2_masked":
        mask = mask[..., None]
        return structural_similarity(mask * generated, mask * target, data_range=255, **COLOUR)
    if protocol == "patn":
        generated, target = between_white(generated), between_white(target)
        data_range = spread(generated)
        return structural_similarity(target, generated, data_range=data_range, **COLOUR, **GAUSSIAN)
    if protocol == "gfla":
        return structural_similarity(target / 255, generated / 255, data_range=1, win_size=51, **COLOUR)
    if protocol == "gfla_256":
        return structural_similarity(target, generated, data_range=spread(generated), **COLOUR, **GAUSSIAN)
    raise KeyError(protocol)


PROTOCOL_NAMES = ("report", "report_corrected", "pg2", "pg2_masked", "patn", "gfla", "gfla_256", "skimage")


def reference_gradient(image):
    "Mean of scikit-image's rank filter on the 8-bit grey image."
    return float(rank.gradient((255 * rgb2gray(image)).round().astype(np.uint8), disk(5)).mean())


def reference(generated, target, mask):
    "All metrics of one pair; an infinite PSNR becomes None, as JSON has no word for it."
    equal = np.array_equal(generated, target)
    drawn = b"".join(image.tobytes() for image in (generated, target, mask))
    values = {f"ssim {name}": float(reference_ssim(name, generated, target, mask)) for name in PROTOCOL_NAMES}
    return values | {
        "psnr": None if equal else float(peak_signal_noise_ratio(target, generated, data_range=255)),
        "l1": float(np.abs(generated.astype(float) - target).mean()),
        "gradient": reference_gradient(generated),
        "sha256 of the pair": hashlib.sha256(drawn).hexdigest(),
    }


if __name__ == "__main__":
    values = {name: reference(*pair) for name, pair in pairs().items()}
    GOLDEN.write_text(json.dumps(values, indent=1) + "\n")
