"""Images a second of the data pipeline, beside a plain loader's."""

import itertools
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

SIZE, BATCH, EPOCHS, ROUNDS = (224, 224), 4, 6, 5
BILINEAR, NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
FILTERS = {"images": BILINEAR, "masks": NEAREST}


def measure_pipeline():
    """Images a second on PNG files of GlaS's size, at 224x224.

    Returns:
        A dictionary of medians of `ROUNDS` rounds: "plain", a loop with Pillow
        and NumPy that does the same work; "first", this package's pipeline in
        its first epoch; "cached", in those that follow.
    """
    # Late, as this is all that needs TensorFlow whatever the backend.
    from dca_keras.data import read_dataset

    with tempfile.TemporaryDirectory() as name:
        synthetic = read_dataset("synthetic", image_side=224, train=400)
        _write_images(folder := Path(name), synthetic.train)
        train = read_dataset("image_folder", folder).train
        rounds = [_round(folder, train) for _ in range(ROUNDS)]
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def _round(folder, train):
    from dca_keras.data import make_dataset

    plain = _rate(_plain_loop(folder, np.random.default_rng(0)))
    how = {"shuffle": True, "augment": True, "epochs": range(EPOCHS)}
    ours = make_dataset(train, SIZE, BATCH, **how)
    batches, steps = iter(ours), len(ours) // EPOCHS
    first = _rate(itertools.islice(batches, steps))
    return {"plain": plain, "first": first, "cached": _rate(batches)}


def _write_images(folder, samples):
    for sample in samples:
        for kind, array in zip(FILTERS, sample.load(), strict=True):
            (folder / kind).mkdir(exist_ok=True)
            image = Image.fromarray((array.squeeze() * 255).astype("uint8"))
            image = image.resize((775, 522), NEAREST)
            image.save(folder / kind / f"{sample.name}.png")


def _plain_loop(folder, rng):
    paths = rng.permutation(sorted((folder / "images").iterdir()))
    for start in range(0, len(paths), BATCH):
        batch = []
        for path in paths[start : start + BATCH]:
            turn, *flips = rng.random(3) < 0.2
            angle = turn * rng.uniform(-60, 60)
            for kind, resample in FILTERS.items():
                image = Image.open(folder / kind / path.name)
                image = image.resize(SIZE, resample).rotate(angle, resample)
                batch.append(np.flip(image, np.flatnonzero(flips)) / 255)
        yield np.stack(batch[::2]), np.stack(batch[1::2])


def _rate(batches):
    start = time.perf_counter()
    return sum(len(x) for x, _ in batches) / (time.perf_counter() - start)
