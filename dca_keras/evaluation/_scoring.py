"""A model's predictions on samples, scored: by image, case and class."""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from dca_keras.data import resize_image, resize_mask
from dca_keras.evaluation._intervals import (
    BOOTSTRAP,
    mean_intervals,
    plain,
    plain_pair,
    summarize,
)
from dca_keras.evaluation._scores import (
    DISTANCES,
    MILLIMETRES,
    PIXELS,
    SCORES,
    class_indices,
    count_pixels,
    mean_defined,
    overlap_scores,
    score_classes,
    smoothed_scores,
    surface_distances,
)
from dca_keras.prediction import to_mask


def evaluate_model(
    model,
    samples,
    *,
    image_size,
    batch_size,
    published_batch=None,
    on_done=None,
):
    """Scores a model on samples.

    Image and mask are resized to the size the model works at, as published.
    Distances are those of the original image all the same: a step on the
    resized grid counts as long as it is there, in millimetres where all
    samples have a spacing and in original pixels otherwise.

    `dice` and `iou` are those of `dca_keras.metrics`: means over all images
    and all classes, the background among them when there are several, with
    1 added to both sides of the fraction. Under `foreground` and what
    follows nothing is added; `_scores.py` defines these scores, and
    what they are where a mask is empty. An image's foreground is the mean
    over its classes without background, as far as they are defined.

    A case is the images with one `Sample.case`. Its overlaps are those of
    all its pixels. If its images are the slices of a volume (their spacing
    has three values) its distances are measured in three dimensions, across
    the slices in the samples' order; otherwise they are the means over its
    images, as far as they are defined.

    Args:
        model: Anything with `predict_on_batch(images)`, which takes float32
            (batch, height, width, channels) in [0, 1] and returns
            probabilities (batch, height, width, classes).
        samples: The `Sample`s to score it on.
        image_size: `(height, width)` to work at.
        batch_size: Images that are predicted together; no score but
            `published` depends on it.
        published_batch: Images that `published` pools; `None` is
            `batch_size`.
        on_done: Called without arguments after each image.

    Returns:
        A dictionary that JSON can hold; what is not defined is None.

        - `dice` and `iou`, see above, and their `intervals`;
        - `dice_pooled`: as `dice`, of all pixels of all images as one;
        - `published`: the paper's `dsc` and `iou`, which pool the pixels of
          `batch_size` images and are the means over such batches;
        - `images` and `cases`, their numbers; `distance_unit`; `bootstrap`,
          how the intervals were made;
        - `foreground`: of `dice`, `iou`, `precision`, `recall`, `hd95` and
          `assd` the `mean` over the images, its `interval`, in how many
          images it is `defined`, and in how many `undefined` (an image
          counts once for each of its classes);
        - `with_background`: the same over all of several classes;
        - `per_class`: the same of each class, by its index;
        - `over_cases`: these three, over cases instead of images;
        - `per_image`: of every sample, in their order, `name`, `case`,
          `dice` and `iou` as above, and `per_class`: the six scores and the
          mask's `true_pixels` and `predicted_pixels` on the resized grid;
        - `per_case`: of every case its name, `images` and `per_class`.

    Raises:
        ValueError: If there are no samples, or their masks hold classes that
            the model doesn't know.
    """
    if not samples:
        raise ValueError("`samples` is empty. Pass at least one sample.")
    unit = MILLIMETRES if all(s.spacing for s in samples) else PIXELS
    names = [sample.case for sample in samples]
    left = Counter(names)
    slices, volumes = defaultdict(list), {}
    counts, scores = [], []
    for sample, truth, prediction, classes, zoom in _predict(
        model, samples, image_size, batch_size
    ):
        spacing = sample.spacing if unit == MILLIMETRES else (1, 1)
        step = np.multiply(spacing, (1, *zoom)[-len(spacing) :])
        counts.append(count_pixels(truth, prediction, classes))
        scores.append(score_classes(truth, prediction, counts[-1], step[-2:]))
        left[sample.case] -= 1
        if len(step) == 3:
            slices[sample.case].append((truth, prediction))
            if not left[sample.case]:
                pair = map(np.stack, zip(*slices.pop(sample.case), strict=True))
                volumes[sample.case] = _measure(*pair, classes, step)
        if on_done is not None:
            on_done()
    counts, scores = np.stack(counts), np.stack(scores)
    cases = _score_cases(names, counts, scores, volumes)
    return {
        **_summarize_smoothed(counts, names, published_batch or batch_size),
        "images": len(samples),
        "cases": len(cases),
        "distance_unit": unit,
        "bootstrap": BOOTSTRAP,
        **summarize(scores, names),
        "over_cases": summarize(
            np.stack([s for s, _ in cases.values()]), list(cases)
        ),
        "per_image": [
            {
                "name": sample.name,
                "case": sample.case,
                "dice": float(dice),
                "iou": float(iou),
                "per_class": _by_class(*row),
            }
            for sample, (dice, iou), *row in zip(
                samples, smoothed_scores(counts), scores, counts, strict=True
            )
        ],
        "per_case": [
            {
                "case": case,
                "images": names.count(case),
                "per_class": _by_class(*row),
            }
            for case, row in cases.items()
        ],
    }


def _summarize_smoothed(counts, names, published_batch):
    means, ranges = mean_intervals(smoothed_scores(counts), names)
    batches = [
        counts[start : start + published_batch].sum(axis=0)
        for start in range(0, len(counts), published_batch)
    ]
    dsc, iou = smoothed_scores(np.stack(batches)).mean(axis=0)
    return {
        "dice": float(means[0]),
        "iou": float(means[1]),
        "intervals": {
            "dice": plain_pair(ranges[0]),
            "iou": plain_pair(ranges[1]),
        },
        "dice_pooled": float(smoothed_scores(counts.sum(axis=0))[0]),
        "published": {
            "dsc": float(dsc),
            "iou": float(iou),
            "batch_size": published_batch,
        },
    }


def _score_cases(names, counts, scores, volumes):
    """The scores (classes, 6) and the counts of every case, by its name."""
    names = np.array(names)
    cases = {}
    for case in dict.fromkeys(names.tolist()):
        there = names == case
        distances = volumes.get(case)
        if distances is None:
            distances = mean_defined(scores[there], 0)[:, -len(DISTANCES) :]
        total = counts[there].sum(axis=0)
        row = np.concatenate([overlap_scores(total), distances], axis=-1)
        cases[case] = row, total
    return cases


def _measure(truth, prediction, classes, step):
    return np.stack(
        [
            surface_distances(truth == index, prediction == index, step)
            for index in class_indices(classes)
        ]
    )


def _predict(model, samples, image_size, batch_size):
    """Every sample with its true and predicted mask on the resized grid.

    Yields also the number of classes, and how many pixels of the original
    image, (height, width), a pixel's sides are.
    """
    load = partial(_load, image_size=image_size)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            images, truths, zooms = zip(*pool.map(load, batch), strict=True)
            found = np.asarray(model.predict_on_batch(np.stack(images)))
            classes = found.shape[-1]
            masks = to_mask(found).astype("int16")
            for pair in zip(batch, truths, masks, zooms, strict=True):
                sample, truth, mask, zoom = pair
                yield sample, truth, mask, classes, zoom


def _load(sample, image_size):
    image, mask = sample.load()
    zoom = np.divide(mask.shape[:2], image_size)
    mask = resize_mask(mask, image_size)[..., 0]
    return resize_image(image, image_size), mask.astype("int16"), zoom


def _by_class(scores, counts):
    """Tables (classes, 6) and (classes, 3) as a dictionary."""
    return {
        str(index): {
            **dict(zip(SCORES, map(plain, row), strict=True)),
            "true_pixels": int(true),
            "predicted_pixels": int(predicted),
        }
        for index, row, (_, predicted, true) in zip(
            class_indices(len(scores)), scores, counts, strict=True
        )
    }
