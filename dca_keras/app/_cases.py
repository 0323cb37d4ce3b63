"""An image, and what each model finds in it."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dca_keras._drawing import to_rgb
from dca_keras.app._uploads import check_files, group_files, keep_files
from dca_keras.data.guards import size_limit
from dca_keras.plotting import attention, grad_cam, look_inside
from dca_keras.prediction import (
    output_ends,
    prepare_input,
    to_mask,
    write_mask,
)


class Finding(NamedTuple):
    """What a model finds in an image.

    Args:
        files: The image's paths, as the model reads it.
        picture: `(slices, height, width, 3)`, uint8.
        mask: `(slices, height, width)`, uint8, class indices.
        probabilities: `(slices, height, width, classes)`, uint8; 255 is 1.
        spacing: Millimetres from voxel to voxel of a volume, or None.
        is_stack: Whether the image has slices.
        plan: How the model saw it, in words.
        mask_file: The path of the mask, in the image's own format.
    """

    files: tuple
    picture: np.ndarray
    mask: np.ndarray
    probabilities: np.ndarray
    spacing: tuple | None
    is_stack: bool
    plan: str
    mask_file: Path


class Look(NamedTuple):
    """Where a model's attention looks from a point.

    Args:
        at: The point, `(x, y)` or `(x, y, z)`.
        maps: `(stages, *grid)`, the mean over the heads; 1 is an even look.
        box: Where the grid begins and ends along each side of the image.
    """

    at: tuple
    maps: np.ndarray
    box: tuple


class Case:
    """An image, and what was asked of it so far.

    It keeps its files in a folder of its own, which is removed with it.

    Args:
        models: The page's `Models`.
        limits: The page's `Limits`.
        files: The image's paths.
        folder: Where to make its own folder.
        uploaded: Whether the files are the case's to keep; else they stay
            where they are.

    Attributes:
        name: What the image is called.
        findings: What each model finds, by the model's name: a `Finding`, or
            the message of what went wrong.
        looks: Where each model looks, in the same way, a `Look` or a message.
    """

    def __init__(self, models, limits, files, folder, uploaded=True):
        self._own = tempfile.TemporaryDirectory(dir=folder)
        self._models, self._limits = models, limits
        self._files = [Path(file) for file in files]
        check_files(self._files, limits)
        if uploaded:
            place = self.folder / "image"
            place.mkdir()
            self._files = keep_files(self._files, place)
        self.name = self._files[0].name
        self.findings, self.looks = {}, {}

    @property
    def folder(self):
        """The folder that is removed with the case."""
        return Path(self._own.name)

    def found(self, names):
        """Return the findings of some models that went well, by name."""
        found = {name: self.findings.get(name) for name in names}
        return {n: f for n, f in found.items() if isinstance(f, Finding)}

    def segment(self, name, on_slice=None):
        """Let a model find what it finds, unless it has already.

        Args:
            name: The model's.
            on_slice: Function of the slices that are done and of all.
        """
        if name not in self.findings:
            self.findings[name] = self._attempt(
                lambda: self._segment(name, on_slice or (lambda *_: None))
            )

    def look(self, name, at):
        """Compute where a model's attention looks from a point."""
        self.looks[name] = self._attempt(lambda: self._look(name, at))

    def draw_attention(self, name, at):
        """Draw what every stage and head looks at from a point.

        Returns:
            The path of a PNG file, or the message of what went wrong.
        """
        return self._attempt(lambda: self._draw_attention(name, at))

    def _segment(self, name, on_slice):
        member = self._models.member(name)
        place = self.folder / str(self._models.names.index(name))
        files, stem = group_files(member, self._files, place)
        with size_limit(self._limits.pixels):
            image = member.read(files)
        values = image.values
        stack = values if values.ndim == 4 else values[None]
        mask = np.empty(stack.shape[:-1], "uint8")
        classes = member.model.output_shape[-1]
        probabilities = np.empty((*mask.shape, classes), "uint8")
        for index, row in enumerate(member.rows(image)):
            mask[index] = to_mask(row)
            probabilities[index] = np.rint(255 * np.clip(row, 0, 1))
            on_slice(index + 1, len(mask))
        path = stem.with_name(stem.name + output_ends(files[0])[0])
        in_frame = member.preprocessing is not None
        own = mask if values.ndim == 4 else mask[0]
        write_mask(path, own, files[0], in_frame)
        return Finding(
            files,
            _to_bytes(member.picture(image), mask.shape),
            mask,
            probabilities,
            image.spacing,
            values.ndim == 4,
            str(member.plan(image)),
            path,
        )

    def _prepare(self, name, at):
        """Return what a model sees around a point, read again."""
        if not self._models.run(name).recipe.dca:
            raise ValueError(f"{name} has no Dual Cross-Attention.")
        member, finding = self._models.member(name), self.findings[name]
        at = at if finding.is_stack else at[:2]
        with size_limit(self._limits.pixels):
            image = member.read(finding.files)
        return prepare_input(member, image, at)

    def _look(self, name, at):
        part = self._prepare(name, at)
        scores = look_inside(self._models.member(name).model, part.image)[-1]
        if scores.spatial is None:
            raise ValueError(
                f"{name} has channel attention only, which looks at no place."
            )
        token = scores.token_at(part.at, part.image.shape[:-1])
        return Look(at, scores.spatial_maps(token).mean(axis=1), part.box)

    def _draw_attention(self, name, at):
        part = self._prepare(name, at)
        model = self._models.member(name).model
        path = self.folder / f"{self._models.names.index(name)}_attention.png"
        cam = grad_cam(model, part.image)
        attention(model, part.image, part.at, cam=cam, path=path)
        return path

    def _attempt(self, compute):
        """Return what is computed, or in words why it can't be."""
        try:
            return compute()
        except Exception as error:  # Decoders and backends raise anything.
            return say(error, self._files)


def say(error, files=()):
    """Return an error in a line that names files without their folders."""
    text = str(error).partition("\n")[0]
    for file in files:
        text = text.replace(str(file), file.name)
    if isinstance(error, ValueError | ImportError):
        return text
    return f"{type(error).__name__}: {text}"


def _to_bytes(picture, shape):
    """Return a picture as colours of 8 bits, slice by slice."""
    picture = picture.reshape((*shape, -1))
    drawn = np.empty((*shape, 3), "uint8")
    for index, part in enumerate(picture):
        drawn[index] = np.rint(255 * to_rgb(part))
    return drawn
