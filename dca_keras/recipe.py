"""Recipes: what a training run is made of, as one value.

`recipes.toml` holds the numbers; `make_recipe` merges them with the user's.
"""

import dataclasses
import shlex
import tomllib
from importlib import resources
from pathlib import Path

from dca_keras._recipe_rules import check_recipe
from dca_keras.config import DCAConfig
from dca_keras.data import read_dataset
from dca_keras.zoo import create_model

SPLITS = PARTS = ("train", "val", "test")
ATTENTION = tuple(field.name for field in dataclasses.fields(DCAConfig))
# By whether there is channel attention and whether there is spatial.
VARIANTS = {
    (True, True): "dca",
    (True, False): "dca_channel",
    (False, True): "dca_spatial",
    (False, False): "dca_control",
}


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
        patch_size, blocks, channel_heads, spatial_heads, channel_attention,
            spatial_attention, token_activation: As in `dca_keras.DCAConfig`;
            without effect where `dca` is false.
        image_size: `(height, width)` in pixels that images are resized to.
        channels: Channels of an image.
        num_classes: Classes of a mask; 1 is foreground against background.
        filters: Widths from the finest stage to the bottom; `None` for the
            architecture's own.
        epochs: Passes over the training part.
        batch_size: Images a step.
        learning_rate: Adam's learning rate.
        schedule: What becomes of it, step by step: `"constant"`, `"cosine"`
            or `"polynomial"` (of power 0.9), both down to 0 at the end.
        patience: Epochs without a better validation Dice after which training
            stops; `None` for never.
        per_image_loss: Whether the loss is the mean of each image's own; if
            not, it pools the whole batch, as published.
        augment: Whether training images are augmented at random.
        seed: Seed of the initial weights, the shuffling, the augmentation and
            a dataset's random splits.
        dtype: `"float32"`, `"mixed_float16"` or `"mixed_bfloat16"`.
        strategy: `"single"` device, `"mirrored"` over the devices of this
            machine, or `"multi_worker"` over several machines, see
            `dca_keras.training.strategies`. `batch_size` is the batch of all.
        sync_batch_norm: Whether batch norm takes its statistics over all
            replicas; if not, each takes those of its own share.

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
    patch_size: int | None = DCAConfig.patch_size
    blocks: int = DCAConfig.blocks
    channel_heads: int = DCAConfig.channel_heads
    spatial_heads: int = DCAConfig.spatial_heads
    channel_attention: bool = DCAConfig.channel_attention
    spatial_attention: bool = DCAConfig.spatial_attention
    token_activation: bool = DCAConfig.token_activation
    image_size: tuple[int, int]
    channels: int
    num_classes: int
    filters: tuple[int, ...] | None = None
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str = "constant"
    patience: int | None = None
    per_image_loss: bool = False
    augment: bool
    seed: int
    dtype: str
    strategy: str = "single"
    sync_batch_norm: bool = False

    def __post_init__(self):
        check_recipe(self)
        self._attention()  # Raises where a value is wrong.

    @property
    def variant(self):
        """What happens to the skips, in a word.

        `"plain"`, `"dca"`, or what is left of DCA: `"dca_channel"`,
        `"dca_spatial"`, and `"dca_control"` with neither attention.
        """
        attentions = (self.channel_attention, self.spatial_attention)
        return VARIANTS[attentions] if self.dca else "plain"

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
            dca=self._attention() if self.dca else False,
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
        attention = f"-{self.variant}" if self.dca else ""
        return f"{self.model}{attention}-{self.data}-seed{self.seed}"

    def _attention(self):
        return DCAConfig(**{name: getattr(self, name) for name in ATTENTION})

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
