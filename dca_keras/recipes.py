"""Recipes: what a training run is made of, as one value.

`recipes.toml` holds the numbers; `make_recipe` merges them with the user's.
"""

import dataclasses
import math
import shlex
import tomllib
from importlib import resources
from pathlib import Path

from dca_keras.data import list_datasets, read_dataset
from dca_keras.data.samples import PROTOCOLS
from dca_keras.zoo import create_model, list_models

PARTS = ("train", "val", "test")
SWITCHES = ("partial", "empty_masks", "skip_broken", "dca", "augment")
DTYPES = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run does.

    Args:
        model: Name of an architecture, one of `dca_keras.zoo.list_models()`.
        data: Name of a dataset, one of `dca_keras.data.list_datasets()`.
        data_dir: The dataset's folder as an absolute path; `None` for a
            dataset that needs none.
        partial: Whether to be content with an archive of which files are
            missing, using what is there.
        empty_masks: Whether a mask may be without foreground; if not, such an
            image counts as one that can't be used.
        skip_broken: Whether to go on without images that can't be used;
            they are listed.
        cache: Where resized images are kept: `"memory"`, `"none"` (they are
            read again in every epoch) or a folder, see
            `dca_keras.data.prepare`.
        protocol: `"held_out"`, or `"paper"` to choose the best epoch on the
            test part, as the paper did: fit to compare with it, and too high.
        dca: Whether Dual Cross-Attention refines the skip connections.
        image_size: `(height, width)` in pixels that images are resized to.
        channels: Channels of an image.
        num_classes: Classes of a mask; 1 is foreground against background.
        filters: Widths from the finest stage to the bottom; `None` for the
            architecture's own.
        epochs: Passes over the training part.
        batch_size: Images a step.
        learning_rate: Adam's learning rate.
        augment: Whether training images are augmented at random.
        seed: Seed of the initial weights, the shuffling, the augmentation and
            a dataset's random splits.
        dtype: `"float32"`, `"mixed_float16"` or `"mixed_bfloat16"`.

    Raises:
        ValueError: If a value is not what its line above says.
    """

    model: str
    data: str
    data_dir: str | None = None
    partial: bool = False
    empty_masks: bool = True
    skip_broken: bool = False
    cache: str = "memory"
    protocol: str
    dca: bool
    image_size: tuple[int, int]
    channels: int
    num_classes: int
    filters: tuple[int, ...] | None = None
    epochs: int
    batch_size: int
    learning_rate: float
    augment: bool
    seed: int
    dtype: str

    def __post_init__(self):
        for name, rule, holds in (
            ("model", _one_of(list_models()), self.model in list_models()),
            ("data", _one_of(list_datasets()), self.data in list_datasets()),
            ("data_dir", "a path", isinstance(self.data_dir, str | None)),
            ("cache", "memory, none or a folder", isinstance(self.cache, str)),
            ("protocol", _one_of(PROTOCOLS), self.protocol in PROTOCOLS),
            (
                "image_size",
                "two positive integers, (height, width)",
                _are_whole(self.image_size) and len(self.image_size) == 2,
            ),
            ("channels", "a positive integer", _is_whole(self.channels)),
            ("num_classes", "a positive integer", _is_whole(self.num_classes)),
            (
                "filters",
                "positive integers, one a stage",
                self.filters is None or _are_whole(self.filters),
            ),
            ("epochs", "a positive integer", _is_whole(self.epochs)),
            ("batch_size", "a positive integer", _is_whole(self.batch_size)),
            (
                "learning_rate",
                "a positive number",
                isinstance(self.learning_rate, int | float)
                and 0 < self.learning_rate < math.inf,
            ),
            *(
                (name, "true or false", isinstance(getattr(self, name), bool))
                for name in SWITCHES
            ),
            ("seed", "an integer from 0", _is_whole(self.seed, least=0)),
            ("dtype", _one_of(DTYPES), self.dtype in DTYPES),
        ):
            if not holds:
                raise ValueError(
                    f"`{name}` must be {rule}. "
                    f"Received: {getattr(self, name)!r}"
                )

    def to_dict(self):
        """The recipe as a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """The recipe that `to_dict` wrote, or that JSON made of it.

        Raises:
            ValueError: If a name is missing or unknown, or a value is wrong.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - fields.keys()):
            raise ValueError(
                f"A recipe has no {', '.join(map(repr, unknown))}. "
                f"Names: {', '.join(fields)}"
            )
        required = {
            name
            for name, field in fields.items()
            if field.default is dataclasses.MISSING
        }
        if missing := sorted(required - values.keys()):
            raise ValueError(f"The recipe lacks {', '.join(missing)}.")
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values.items()
            }
        )

    def build_model(self):
        """The recipe's model, untrained.

        Raises:
            ValueError: If the architecture can't be built so, for instance
                because its poolings don't divide `image_size`.
        """
        widths = {} if self.filters is None else {"filters": self.filters}
        return create_model(
            self.model,
            input_shape=(*self.image_size, self.channels),
            num_classes=self.num_classes,
            dca=self.dca,
            dtype=self.dtype,
            **widths,
        )

    def read_dataset(self, data_dir=None):
        """The recipe's dataset as `dca_keras.data.Splits`.

        Args:
            data_dir: Where it lies now; `None` for where the recipe says.

        Raises:
            ValueError: If it can't be read.
        """
        # Not every dataset knows what its owners distribute.
        own = {"partial": True} if self.partial else {}
        return read_dataset(
            self.data,
            data_dir or self.data_dir,
            channels=self.channels,
            num_classes=self.num_classes,
            seed=self.seed,
            protocol=self.protocol,
            **own,
        )

    def cache_of(self, part):
        """What `make_dataset` takes as `cache` for one part of the dataset."""
        named = {"memory": True, "none": False}
        return named.get(self.cache, Path(self.cache) / part)

    def run_name(self):
        """A name for the run's folder, such as `unet-dca-synthetic-seed0`."""
        attention = "-dca" if self.dca else ""
        return f"{self.model}{attention}-{self.data}-seed{self.seed}"

    def command(self):
        """The command line that trains this recipe again.

        Options that `recipes.toml` implies are left out, and the cache,
        which changes no result. Of `data_dir` only
        the last folder is named, so that a published command tells nothing
        about somebody's disk.
        """
        words = ["dca-keras", "train", "--model", self.model]
        words += ["--data", self.data]
        base = make_recipe(self.model, self.data).to_dict()
        for name, value in self.to_dict().items():
            option = "--" + name.replace("_", "-")
            if value is None or value == base[name] or name == "cache":
                continue
            elif isinstance(value, bool):
                words.append(option if value else option.replace("--", "--no-"))
            elif name == "data_dir":
                words += [option, Path(value).name]
            elif name == "image_size":
                words += [option, "x".join(map(str, value))]
            elif name == "filters":
                words += [option, ",".join(map(str, value))]
            else:
                words += [option, str(value)]
        return shlex.join(words)


def make_recipe(model="unet", data="synthetic", **overrides):
    """The recipe of a model on a dataset, with the user's changes.

    Args:
        model: Name of an architecture, one of `dca_keras.zoo.list_models()`.
        data: Name of a dataset, one of `dca_keras.data.list_datasets()`.
        **overrides: Other fields of `Recipe`. `None` means not given; a single
            number as `image_size` is the side of a square.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If a name is unknown or a value wrong.
    """
    text = resources.files("dca_keras").joinpath("recipes.toml").read_text()
    tables = tomllib.loads(text)
    values = tables["defaults"]
    values |= tables["dataset"].get(data, {})
    values |= tables.get("model", {}).get(model, {})
    values |= {k: v for k, v in overrides.items() if v is not None}
    if isinstance(values["image_size"], int):
        values["image_size"] = [values["image_size"]] * 2
    for name in ("data_dir", "cache"):
        if values.get(name) not in (None, "memory", "none"):
            values[name] = str(Path(values[name]).expanduser().absolute())
    return Recipe.from_dict({"model": model, "data": data} | values)


def _one_of(names):
    return "one of " + ", ".join(map(repr, names))


def _is_whole(value, least=1):
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and value >= least


def _are_whole(values):
    is_sequence = isinstance(values, tuple) and len(values) > 0
    return is_sequence and all(map(_is_whole, values))
