"""Runs as what prediction needs of them: what to read, and what to say."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dca_keras._drawing import to_rgb
from dca_keras.data import Preprocessing, read_image
from dca_keras.data.channels import channels_header, read_channels
from dca_keras.data.series import open_series
from dca_keras.prediction._plan import PredictionPlan, plan_prediction
from dca_keras.prediction._source import predict_source
from dca_keras.run import Run


class Image(NamedTuple):
    """An image as a run reads it.

    Args:
        values: `([depth,] height, width, channels)`; in [0, 1] if the run has
            no preprocessing, and else the file's own.
        spacing: Millimetres from voxel to voxel of a volume, or None.
    """

    values: object
    spacing: tuple | None


class Member(NamedTuple):
    """One run of an ensemble.

    Args:
        model: Its best model, or the same in another runtime.
        preprocessing: Its `Preprocessing` if it was trained on volumes in
            their files' own values; else None.
        reading: Arguments of `read_image`.
        options: Arguments of `predict_rows`.
        model_hash: Of the model's file; and which runtime, if not Keras.
        channels: Three channels that pictures show; None for the first three.
    """

    model: object
    preprocessing: Preprocessing | None
    reading: dict
    options: dict
    model_hash: str
    channels: tuple | None

    def read(self, files: Sequence[Path]) -> Image:
        """Read the files of a case; returns an `Image`."""
        if self.preprocessing is None:
            return Image(read_image(files[0], stack=True, **self.reading), None)
        values = read_channels(files)
        channels = self.reading["channels"]
        if values.shape[-1] != channels:
            raise ValueError(
                f"{files[0]} has {values.shape[-1]} channels, with all files "
                f"of its case. The run was trained with {channels}."
            )
        return Image(values, channels_header(files[0])[1])

    def plan(self, image: Image) -> PredictionPlan:
        """Return the `PredictionPlan` for an `Image`."""
        sides = image.values.shape[:-1]
        if self.preprocessing is not None:
            rank = len(self.model.input_shape) - 2
            sides = self.preprocessing.shape(sides[-rank:], image.spacing)
        windows = {name: self.options[name] for name in ("window", "overlap")}
        return plan_prediction(self.model, sides, **windows)

    def rows(self, image: Image) -> Iterator[np.ndarray]:
        """Return the probabilities of an `Image`, slice after slice."""
        return predict_source(
            self.model,
            image.values,
            preprocessing=self.preprocessing,
            spacing=image.spacing,
            **self.options,
        )

    def picture(self, image: Image) -> np.ndarray:
        """Return the values of an `Image` as a picture shows them."""
        values = image.values
        if self.preprocessing is not None:
            values = self.preprocessing.image(values)  # on its own grid
        return (
            values if self.channels is None else to_rgb(values, self.channels)
        )

    def settings(self) -> list:
        """Return what a prediction depends on besides the image, for JSON."""
        windows = {name: self.options[name] for name in ("window", "overlap")}
        mirrored = self.options["test_time_augmentation"]
        settings = [self.model_hash, windows, mirrored, self.reading]
        if self.channels is not None:
            settings.append(self.channels)
        if self.preprocessing is not None:
            settings.append(self.preprocessing.to_dict())
        return settings


def open_member(
    run: Run,
    engine: Callable[[Run], Any] | None = None,
    intensities: tuple[float, float] | None = None,
    **options: Any,
) -> Member:
    """Load a run for prediction.

    Args:
        run: A `Run`.
        engine: As in `predict_files`.
        intensities: As in `predict_files`.
        **options: As in `predict_rows`.
    """
    recipe, preprocessing = run.recipe, run.preprocessing
    if preprocessing is not None and preprocessing.intensities is None:
        preprocessing = None  # Images are in [0, 1] as they are read.
    if preprocessing is not None and intensities is not None:
        raise ValueError(
            f"`intensities` can't be given for {run.folder}: it notes its own, "
            f"{preprocessing.intensities}. Received: {intensities!r}"
        )
    if recipe.sampling == "crop" and options.get("window") is None:
        options["window"] = True  # It has seen images at their own scale.
    reading = {
        "channels": recipe.channels,
        "intensities": intensities or run.intensity_window,
    }
    model = run.load_model() if engine is None else engine(run)
    digest = hash_files([run.model_path])
    if engine is not None:
        digest += f" {model.identity}"
    shown = recipe.shown_channels
    return Member(model, preprocessing, reading, options, digest, shown)


def hash_files(files):
    """Return the SHA-256 of the bytes of all files, one after another.

    A folder stands for the slices of its DICOM series.
    """
    digest = hashlib.sha256()
    slices = (open_series(f).paths if f.is_dir() else (f,) for f in files)
    for file in itertools.chain.from_iterable(slices):
        if not file.is_file():  # Reading a pipe would never end.
            raise ValueError(f"{file} can't be read: no such file")
        try:
            with open(file, "rb") as stream:
                while block := stream.read(2**20):
                    digest.update(block)
        except OSError as error:
            raise ValueError(
                f"{file} can't be read: {error.strerror}"
            ) from error
    return digest.hexdigest()
