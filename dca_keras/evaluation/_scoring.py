"""A model's predictions on samples, scored: by image, case and class."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import keras
import numpy as np

from dca_keras.data import Sample
from dca_keras.evaluation._grids import (
    OriginalGrid,
    ResizedGrid,
    original_samples,
)
from dca_keras.evaluation._scores import (
    DISTANCES,
    MILLIMETRES,
    PIXELS,
    SCORES,
    class_distances,
    count_pixels,
    mean_defined,
    overlap_scores,
    score_classes,
)
from dca_keras.evaluation._summary import summarize_tables
from dca_keras.evaluation._table import make_table


def evaluate_model(
    model: keras.Model,
    samples: Sequence[Sample],
    *,
    image_size: tuple[int, ...] | None,
    batch_size: int,
    grid: OriginalGrid | None = None,
    published_batch: int | None = None,
    class_names: Sequence[str] | None = None,
    on_done: Callable[[], object] | None = None,
) -> dict:
    """Score a model on samples.

    Image and mask are resized to the size the model works at, as published;
    with an `OriginalGrid`, the prediction is brought to the image's own size
    instead. Distances are those of the original image either way: in
    millimetres if all samples have a spacing, and in pixels otherwise.

    `dice` and `iou` are those of `dca_keras.metrics`: means over all images
    and all classes, including the background if there are several, with 1
    added to numerator and denominator. Nothing is added in `foreground` and
    the scores after it; where a mask is empty, a score may be undefined. An
    image's foreground score is the mean over its classes without the
    background, as far as they are defined.

    A case is all images with the same `Sample.case`. Its overlap scores are
    those of all its pixels together. If its images are the slices of a volume
    (their spacing has three values), its distances are measured in three
    dimensions, with the slices in the samples' order; otherwise they are the
    means over its images, as far as they are defined. A sample that is a
    volume is measured in three dimensions, too.

    Args:
        model: Anything with `predict_on_batch(images)`, which takes float32
            (batch, height, width, channels) in [0, 1] and returns
            probabilities (batch, height, width, classes).
        samples: The `Sample`s to score it on.
        image_size: `(height, width)` to work at; not used by an
            `OriginalGrid`.
        batch_size: Images that are predicted together; no score but
            `published` depends on it.
        grid: An `OriginalGrid`; None resizes to `image_size`. Samples that
            were preprocessed are scored as their `source`.
        published_batch: Images whose pixels `published` pools; None is
            `batch_size`.
        class_names: The names of the classes without the background, or None.
        on_done: Called without arguments after each image.

    Returns:
        A dictionary that JSON can hold; a score that is not defined is None.
        `score_table` makes a pandas table from it.

        - `dice` and `iou`, see above, and their `intervals`;
        - `dice_pooled`: as `dice`, of all pixels of all images together;
        - `published`: the paper's `dsc` and `iou`, which pool the pixels of
          `batch_size` images and are the means over such batches;
        - `grid`, "resized" or "original";
        - `images` and `cases`, their numbers; `distance_unit`; `bootstrap`,
          how the intervals were computed; `class_names` by index;
        - `foreground`: of `dice`, `iou`, `precision`, `recall`, `hd95` and
          `assd` the `mean` over the images, its `interval`, in how many
          images it is `defined`, and in how many `undefined` (an image
          counts once for each of its classes);
        - `with_background`: the same over all classes, if there are several;
        - `per_class`: the same of each class, by its index;
        - `over_cases`: these three, over cases instead of images;
        - `per_image`: for every sample, in their order, `name`, `case`,
          `dice` and `iou` as above, and `per_class`: the six scores, and
          `true_pixels`, `predicted_pixels` and `true_positives` on that
          grid;
        - `per_case`: for every case its name, `images` and `per_class`.

    Raises:
        ValueError: If there are no samples, or their masks hold classes that
            the model doesn't have.
    """
    if not samples:
        raise ValueError("`samples` is empty. Pass at least one sample.")
    grid = grid or ResizedGrid(image_size, batch_size)
    if grid.name == "original":
        samples = original_samples(samples)
    unit = MILLIMETRES if all(s.spacing for s in samples) else PIXELS
    pairs = zip(samples, grid.pairs(model, samples), strict=True)
    values, volumes = _score_samples(pairs, samples, unit, on_done)
    classes = name_classes(values.shape[1], class_names)
    cases = [sample.case for sample in samples]
    images = make_table(
        values, classes, image=[sample.name for sample in samples], case=cases
    )
    per_case = _score_cases(np.array(cases), values, volumes)
    over_cases = make_table(
        np.stack(list(per_case.values())), classes, case=list(per_case)
    )
    return {
        "grid": grid.name,
        "distance_unit": unit,
        **summarize_tables(images, over_cases, published_batch or batch_size),
    }


def name_classes(count, class_names=None):
    """Return what readers call the classes, in the order of all tables.

    Args:
        count: 1, or the number of classes with the background.
        class_names: The names without the background; ignored where they are
            not as many as the classes.
    """
    names = list(class_names or ())
    if count == 1:
        return names if len(names) == 1 else ["foreground"]
    names = ["background", *names]
    if len(set(names)) != count:  # Not the data set's own classes.
        names = names[:1] + [f"class {index}" for index in range(1, count)]
    return names


def _score_samples(pairs, samples, unit, on_done):
    """The scores and counts (images, classes, 9), and volumes' distances."""
    left = Counter(sample.case for sample in samples)
    values, volumes, slices = [], {}, defaultdict(list)
    for sample, (truth, prediction, classes, zoom) in pairs:
        rank = truth.ndim
        spacing = sample.spacing if unit == MILLIMETRES else (1,) * rank
        slice_to_slice = (1,) * (len(spacing) - rank)
        step = np.multiply(spacing, (*slice_to_slice, *zoom))
        counts = count_pixels(truth, prediction, classes)
        scores = score_classes(truth, prediction, counts, step[-rank:])
        values.append(np.concatenate([scores, counts], axis=-1))
        left[sample.case] -= 1
        if slice_to_slice:
            slices[sample.case].append((truth, prediction))
            if not left[sample.case]:
                pair = map(np.stack, zip(*slices.pop(sample.case), strict=True))
                volumes[sample.case] = class_distances(*pair, classes, step)
        if on_done is not None:
            on_done()
    return np.stack(values), volumes


def _score_cases(cases, values, volumes):
    """The scores and counts (classes, 9) of every case, by its name."""
    found = {}
    for case in dict.fromkeys(cases.tolist()):
        scores, counts = np.split(values[cases == case], [len(SCORES)], -1)
        distances = volumes.get(case)
        if distances is None:
            distances = mean_defined(scores[..., -len(DISTANCES) :], 0)
        total = counts.sum(axis=0)
        row = overlap_scores(total), distances, total
        found[case] = np.concatenate(row, axis=-1)
    return found
