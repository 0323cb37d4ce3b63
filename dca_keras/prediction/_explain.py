"""What a run's model looks at in an image file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dca_keras.data import resize_image
from dca_keras.data.crops import start_window
from dca_keras.plotting import attention, grad_cam
from dca_keras.prediction._members import Image, Member, open_member
from dca_keras.run import Run


def explain_file(
    run: str | Path,
    file: str | Path,
    at: tuple[int, ...],
    output: str | Path | None = None,
    *,
    class_index: int | None = None,
    module: str | None = None,
    block: int = -1,
) -> Path:
    """Draw what a run's model looks at from one point of an image.

    The model sees the image as in training: preprocessed, and resized to the
    run's size; a run that was trained on crops sees the window around the
    point, at the image's own scale.

    Args:
        run: The folder of a run.
        file: An image, volume or stack, as `predict_files` takes it.
        at: The point, `(x, y)` in the file's pixels from the upper left
            corner; in a volume or stack `(x, y, z)`, where z is the slice.
        output: The PNG file to write; `None` is `NAME_attention.png` among
            the run's predictions.
        class_index: Of the Grad-CAM, see `dca_keras.plotting.grad_cam`.
        module, block: As in `dca_keras.plotting.attention`.

    Returns:
        The path of the picture.

    Raises:
        ValueError: If the run or file can't be read, the point is not in the
            image, or the model has no attention.
    """
    run, file = Run(run), Path(file)
    member = open_member(run)
    if output is None:
        output = run.path("predictions") / f"{file.stem}_attention.png"
    output = Path(output)
    part = prepare_input(member, member.read([file]), at)
    cam = grad_cam(member.model, part.image, class_index)
    output.parent.mkdir(parents=True, exist_ok=True)
    attention(
        member.model,
        part.image,
        part.at,
        module=module,
        block=block,
        cam=cam,
        path=output,
    )
    return output


class ModelInput(NamedTuple):
    """What a run's model sees of an image around a point.

    Args:
        image: As the model takes it.
        at: The point in it, `(x, y)` or `(x, y, z)`.
        box: For every side of the image as it was read, where what the model
            sees begins and ends, in pixels; beyond the image if a window is.
    """

    image: np.ndarray
    at: tuple
    box: tuple


def prepare_input(
    member: Member, image: Image, at: Sequence[int]
) -> ModelInput:
    """Return what a run's model sees of an image around a point.

    Args:
        member: The run, a `Member`.
        image: What its `read` returned.
        at: The point, as in `explain_file`.

    Returns:
        A `ModelInput`.

    Raises:
        ValueError: If the point is not in the image.
    """
    values, at, box = _slice(member.model, image.values, at)
    sides, own = values.shape[:-1], member.model.input_shape[1:-1]
    if member.preprocessing is not None:
        before = values.shape
        values = member.preprocessing.image(values, image.spacing)
        at = _moved(at, before, values.shape)
    step = np.divide(sides, values.shape[:-1])
    if member.options.get("window") or len(own) == 3:
        pixel = np.array(at[::-1])
        values, at = _window(values, at, own)
        starts = (pixel - at[::-1]) * step
        ends = starts + own * step
    else:
        before = values.shape
        values = resize_image(values, own)
        at = _moved(at, before, values.shape)
        starts, ends = np.zeros(len(sides)), np.array(sides)
    ranges = zip(starts.tolist(), ends.tolist(), strict=True)
    return ModelInput(values, at, (*box, *ranges))


def _slice(model, image, at):
    """Check the point; of a stack, take the slice that a 2-D model sees.

    Returns:
        The image, the point in it, and which slice it is, if it is one.
    """
    sides, at = image.shape[:-1], tuple(at)
    if len(at) != len(sides) or not all(
        0 <= i < side for i, side in zip(at, sides[::-1], strict=True)
    ):
        names = "x,y,z"[: 2 * len(sides) - 1]
        raise ValueError(
            f"`at` must be {names} in an image of "
            f"{'×'.join(map(str, sides[::-1]))} pixels, counted from 0. "
            f"Received: {','.join(map(str, at))}."
        )
    if len(sides) == 3 and len(model.input_shape) == 4:
        return image[at[2]], at[:2], ((at[2], at[2] + 1),)
    return image, at, ()


def _moved(at, before, after):
    """Return the point's place in the image after it was resized."""
    pairs = zip(at, before[-2::-1], after[-2::-1], strict=True)
    return tuple(int((i + 0.5) * new / old) for i, old, new in pairs)


def _window(image, at, size):
    """Cut the window around the point; what is beyond the image is 0."""
    pixel = np.array(at[::-1])
    starts = start_window(pixel, image.shape[:-1], size)
    ends = starts + size
    parts = map(slice, np.maximum(starts, 0), ends)
    pads = [
        (max(0, -start), max(0, end - side))
        for start, end, side in zip(starts, ends, image.shape, strict=False)
    ]
    window = np.pad(image[tuple(parts)], [*pads, (0, 0)])
    return window, tuple((pixel - starts)[::-1].tolist())
