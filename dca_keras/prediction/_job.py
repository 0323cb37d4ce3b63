"""What is done with every file: read, predicted, written."""

import json
from pathlib import Path
from typing import NamedTuple

from dca_keras.prediction import _outputs
from dca_keras.prediction._members import hash_files
from dca_keras.prediction._model import gather_rows, to_mask
from dca_keras.prediction._source import average_rows


class Task(NamedTuple):
    """A file on its way: what was read of it, and what was found.

    Args:
        files: The paths of the image.
        name: What the paths of its predictions begin with.
        texts: Notes for the overlay.
        images: An `Image` for every run; none if its predictions exist.
        mask, probabilities: What was found; no probabilities if they are not
            wanted.
        plan: What the `PredictionPlan` says.
    """

    files: tuple
    name: Path
    texts: dict
    images: tuple
    mask: object = None
    probabilities: object = None
    plan: str | None = None

    @property
    def paths(self):
        """The paths of mask, probabilities and overlay."""
        ends = _outputs.ends(self.files[0])
        return [self.name.with_name(self.name.name + end) for end in ends]


class Job(NamedTuple):
    """The runs and options that all files share."""

    members: list
    probabilities: bool
    overwrite: bool

    @property
    def volume_channels(self):
        """Channels of volumes in their own values; None for images."""
        for member in self.members:
            if member.preprocessing is not None:
                return member.reading["channels"]
        return None

    def settings(self):
        """Return all that a prediction depends on besides the image."""
        parts = [member.settings() for member in self.members]
        return json.dumps(parts[0] if len(parts) == 1 else parts, default=int)

    def read(self, item):
        """Read an image unless its predictions exist."""
        files, name = item
        texts = {"Image": hash_files(files), "Settings": self.settings()}
        task = Task(files, name, texts, ())
        if not self.overwrite and self._is_done(task):
            return task
        images = tuple(member.read(files) for member in self.members)
        return task._replace(images=images)

    def _is_done(self, task):
        """Whether the predictions exist; `ValueError` for another image's."""
        mask_path, map_path, overlay_path = task.paths
        wanted = [mask_path, overlay_path] + [map_path] * self.probabilities
        present = [p for p in (*wanted, map_path) if p.exists()]
        noted = _outputs.read_texts(overlay_path)
        if present and noted.get("Image") != task.texts["Image"]:
            raise ValueError(
                f"{task.files[0]} was not predicted, because {present[0]} "
                "exists and is from another image. Choose another `output`, "
                "or `overwrite=True`."
            )
        same = task.texts.items() <= noted.items()
        return same and all(path.exists() for path in wanted)

    def segment(self, task):
        """Find the mask, and the probabilities if they are wanted."""
        if not task.images:
            return task
        pairs = list(zip(self.members, task.images, strict=True))
        plans = dict.fromkeys(
            str(member.plan(image)) for member, image in pairs
        )
        rows = average_rows([member.rows(image) for member, image in pairs])
        values = task.images[0].values
        count = len(values) if values.ndim == 4 else 1
        if self.probabilities:
            found = gather_rows(rows, count)
            masks = to_mask(found)
        else:
            found = None
            masks = gather_rows(map(_to_bytes, rows), count)
        if values.ndim == 3:
            masks, found = masks[0], None if found is None else found[0]
        return task._replace(
            images=task.images[:1],  # What the overlay shows.
            mask=masks,
            probabilities=found,
            plan=" and ".join(plans),
        )

    def write(self, task):
        """Return the mask's path, and the plan or None if the mask existed."""
        mask_path, map_path, overlay_path = task.paths
        if not task.images:
            return mask_path, None
        # A mask exists only beside an overlay that names its image.
        for stale in (mask_path, map_path):
            stale.unlink(missing_ok=True)
        first, image, source = self.members[0], task.images[0], task.files[0]
        in_frame = first.preprocessing is not None
        picture = first.picture(image)
        spacing = image.spacing if len(first.model.input_shape) == 5 else None
        texts = task.texts | {"Plan": task.plan}
        _outputs.write_overlay(overlay_path, picture, task.mask, texts, spacing)
        if self.probabilities:
            found = task.probabilities
            _outputs.write_probabilities(map_path, found, source, in_frame)
        _outputs.write_mask(mask_path, task.mask, source, in_frame)
        return mask_path, task.plan


def _to_bytes(probabilities):
    return to_mask(probabilities).astype("uint8")
