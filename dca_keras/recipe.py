"""Recipes: what a training run is made of, as one value.

A hyperparameter is a field of `Recipe`, defined once; `recipes.toml` holds
the numbers, and `make_recipe` merges them with the user's.
"""

import dataclasses
import shlex
import tomllib
import typing
from importlib import resources
from pathlib import Path

from dca_keras import _fields
from dca_keras._fields import (
    COUNT,
    FOLD,
    IDENTIFIER,
    NAMES,
    NOT_NEGATIVE,
    POSITIVE,
    SHOWN,
    SIDES,
    SPACING,
    SWITCH,
    TEXT,
    WIDTHS,
    at_least,
    field,
    one_of,
    same_field,
)
from dca_keras._plugins import load_plugins
from dca_keras.config import DCAConfig

if typing.TYPE_CHECKING:
    import keras

    from dca_keras.data import Splits

SPLITS = ("train", "val", "test")
ATTENTION = tuple(f.name for f in dataclasses.fields(DCAConfig))
# By whether there is channel attention and whether there is spatial.
VARIANTS = {
    (True, True): "dca",
    (True, False): "dca_channel",
    (False, True): "dca_spatial",
    (False, False): "dca_control",
}
# What `per_image_loss` of earlier versions is now.
PER_IMAGE_LOSS = {"class_name": "DiceLoss", "config": {"per_image": True}}
# What may choose the best epoch, and whether the least or the most is best.
MONITORS = {"val_dice": max, "val_iou": max, "val_loss": min}


def _models():
    from dca_keras.zoo import list_models

    return list_models(all=True)


def _takes(model, argument):
    from dca_keras.zoo import takes_argument

    return takes_argument(model, argument)


def _datasets():
    from dca_keras.data import list_datasets

    return list_datasets()


# A path of which a published command names the last part only.
PATH = dataclasses.replace(
    TEXT, text="a path", show=lambda value: Path(value).name
)
PATHS = ("data_dir", "classes", "cache", "backbone_weights")
# What follows from a data set that has no numbers in `recipes.toml`; the
# rules are in `planning`.
FOLLOWING = (
    *("channels", "num_classes", "spacing", "filters", "patch_size"),
    *("image_size", "sampling", "batch_size", "cache", "epochs", "minutes"),
    *("learning_rate", "schedule", "warmup_epochs", "loss", "augment"),
    *("augment_intensity", "dtype"),
)


def complete(values: dict) -> dict:
    """Return a recipe's dictionary with what earlier versions lacked.

    Args:
        values: A dictionary, as `Recipe.to_dict` returns it or JSON made of
            it. Names that are unknown are kept.

    Returns:
        A new dictionary, with the default of every field that is missing
        and has one. Two recipes of one meaning are equal, whichever version
        wrote them.
    """
    values = dict(values)
    if values.pop("per_image_loss", False):
        values["loss"] = PER_IMAGE_LOSS
    if isinstance(values.get("freeze"), bool):
        values["freeze"] = "encoder" if values["freeze"] else None
    defaults = {
        name: own.default
        for name, own in Recipe.__dataclass_fields__.items()
        if own.default is not dataclasses.MISSING
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in (defaults | values).items()
    }


def _last_name(path):
    return path if path.startswith("hf://") else Path(path).name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a training run does.

    Raises:
        ValueError: If a value is not what the rule of its field says.
    """

    plugins: tuple[str, ...] = field(
        "Modules that are imported first: models, data sets and losses of "
        "your own.",
        NAMES,
        (),
    )
    model: str = field(
        "Architecture; `dca-keras models` lists them. Or unet_with, a U-Net "
        "over a backbone.",
        one_of(_models),
    )
    data: str = field(
        "Data set, such as synthetic or image_folder.", one_of(_datasets)
    )
    data_dir: str | None = field("The data set's folder.", PATH, None)
    classes: str | None = field(
        "File of the values or colours in masks and their classes, as "
        "`dca-keras data` writes it; found if not given.",
        PATH,
        None,
    )
    images: str | None = field(
        "Folder in the data set's, or pattern of names such as '*_image.png', "
        "of images; found if not given.",
        TEXT,
        None,
    )
    masks: str | None = field(
        "The same of masks, such as '*_1stHO.png'.", TEXT, None
    )
    modality: str | None = field(
        "What volumes were taken with, such as CT; what DICOM says, and MRI "
        "otherwise, if not given.",
        TEXT,
        None,
    )
    case_pattern: str | None = field(
        "Regular expression that finds the patient in a file's name, such as "
        "'patient\\d+': a patient's images stay in one split.",
        TEXT,
        None,
    )
    fold: str | None = field(
        "Fold K/N of a cross-validation, such as 0/5, which is the test "
        "split; K counts from 0.",
        FOLD,
        None,
    )
    partial: bool = field(
        "Accept an archive that is not complete, and use what is there.",
        SWITCH,
        False,
    )
    empty_masks: bool = field(
        "Accept masks without foreground; if not, their images count as "
        "unusable.",
        SWITCH,
        True,
    )
    skip_broken: bool = field(
        "Go on without images that can't be used; they are listed.",
        SWITCH,
        False,
    )
    cache: str = field(
        "Where resized images are kept: memory, none (they are read again in "
        "every epoch), or a folder that `dca-keras prepare` wrote.",
        dataclasses.replace(TEXT, text="memory, none or a folder"),
        "memory",
    )
    protocol: str = field(
        "held_out, or paper: the best epoch is chosen on the test split, as "
        "the paper did, and scores are too high.",
        one_of(("held_out", "paper")),
    )
    dca: bool = field("Dual Cross-Attention on the skip connections.", SWITCH)
    patch_size: int | None = same_field(DCAConfig, "patch_size")
    blocks: int = same_field(DCAConfig, "blocks")
    channel_heads: int = same_field(DCAConfig, "channel_heads")
    spatial_heads: int = same_field(DCAConfig, "spatial_heads")
    channel_attention: bool = same_field(DCAConfig, "channel_attention")
    spatial_attention: bool = same_field(DCAConfig, "spatial_attention")
    token_activation: bool = same_field(DCAConfig, "token_activation")
    start: str = same_field(DCAConfig, "start")
    weights: str | None = field(
        "Weights to start from: a run, a file, one of the shipped names or "
        "hf://USER/NAME.",
        dataclasses.replace(TEXT, text="a path or a name", show=_last_name),
        None,
    )
    image_size: tuple[int, ...] = field(
        "Size that the network is given: 256, or 192x256, height x width; "
        "48x64x48, depth x height x width, makes the 3-D model.",
        SIDES,
    )
    sampling: str = field(
        "resize: images are resized to that size; crop: it is cut out of them "
        "at their own scale.",
        one_of(("resize", "crop")),
        "resize",
    )
    spacing: tuple[float, ...] | None = field(
        "Millimetres from voxel to voxel that volumes are resampled to, such "
        "as 3x1x1, depth x height x width.",
        SPACING,
        None,
    )
    channels: int = field("Channels: 3 for colour, 1 for grey.", COUNT)
    shown_channels: tuple[int, ...] | None = field(
        "Channels that pictures show as red, green and blue, such as 4,2,0, "
        "counted from 0; the first three if not given.",
        SHOWN,
        None,
    )
    num_classes: int = field(
        "1, or the number of classes with the background.", COUNT
    )
    filters: tuple[int, ...] | None = field(
        "Widths from the finest stage to the bottom, such as "
        "16,32,64,128,256; the architecture's own if not given.",
        WIDTHS,
        None,
    )
    backbone: str | None = field(
        "For unet_with: a model of keras.applications, such as resnet50; "
        "efficientnetv2b0 if not given.",
        TEXT,
        None,
    )
    backbone_weights: str | None = field(
        "For unet_with: imagenet, which Keras downloads, or a file of the "
        "backbone's weights; random values if not given.",
        dataclasses.replace(PATH, text="imagenet or a path"),
        None,
    )
    freeze: str | None = field(
        "encoder: it is not trained, and its batch norms use their running "
        "averages; all is trained if not given.",
        one_of(("encoder",)),
        None,
    )
    freeze_epochs: int | None = field(
        "With `freeze`: epochs at the start for which that holds; all if not "
        "given.",
        COUNT,
        None,
    )
    epochs: int = field(
        "Passes over the training images; with `minutes` at most.", COUNT
    )
    minutes: float | None = field(
        "Minutes for training and scoring, which choose the number of epochs "
        "once the first have been timed.",
        POSITIVE,
        None,
    )
    batch_size: int = field("Images a step, on all devices together.", COUNT)
    loss: str | dict = field(
        "Loss: a name that Keras or a plugin knows, or JSON of class_name and "
        "config.",
        IDENTIFIER,
        "dice_loss",
    )
    optimizer: str | dict = field(
        "Optimizer: a name that Keras or a plugin knows, or JSON of "
        "class_name and config.",
        IDENTIFIER,
        "adam",
    )
    learning_rate: float = field("Learning rate, after warm-up.", POSITIVE)
    weight_decay: float | None = field(
        "Weight decay; the optimizer's own if not given.", NOT_NEGATIVE, None
    )
    clip_norm: float | None = field(
        "Scale gradients down to this norm of all together; off if not given.",
        POSITIVE,
        None,
    )
    schedule: str = field(
        "Learning-rate schedule: constant; cosine or polynomial (of power "
        "0.9) fall to 0 at the end.",
        one_of(("constant", "cosine", "polynomial")),
        "constant",
    )
    warmup_epochs: int = field(
        "Epochs in which the learning rate rises linearly from 0.",
        at_least(0),
        0,
    )
    monitor: str = field(
        "Score that chooses the best epoch: val_dice, val_iou or val_loss.",
        one_of(tuple(MONITORS)),
        "val_dice",
    )
    patience: int | None = field(
        "Epochs without a better score after which training stops; never if "
        "not given.",
        COUNT,
        None,
    )
    augment: bool = field("Augment training images at random.", SWITCH)
    augment_intensity: bool = field(
        "Change brightness, contrast, gamma and noise of training images at "
        "random.",
        SWITCH,
        False,
    )
    seed: int = field(
        "Seed of the initial weights, the shuffling, the augmentation and "
        "drawn data sets.",
        at_least(0),
    )
    dtype: str = field(
        "float32, mixed_float16 or mixed_bfloat16.",
        one_of(("float32", "mixed_float16", "mixed_bfloat16")),
    )
    strategy: str = field(
        "single device, mirrored (all GPUs of this machine) or multi_worker.",
        one_of(("single", "mirrored", "multi_worker")),
        "single",
    )
    sync_batch_norm: bool = field(
        "Batch norm over all devices together; if not, each over its share.",
        SWITCH,
        False,
    )

    def __post_init__(self):
        _fields.check(self)
        if self.freeze_epochs is not None and self.freeze is None:
            raise ValueError(
                "`freeze_epochs` needs `freeze`, which says what is frozen. "
                f"Received: {self.freeze_epochs} and None"
            )
        if max(self.shown_channels or (0,)) >= self.channels:
            raise ValueError(
                f"`shown_channels` must be from 0 to {self.channels - 1}, as "
                f"there are {self.channels} `channels`. Received: "
                f"{self.shown_channels}"
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"`warmup_epochs` must be less than the {self.epochs} "
                f"`epochs`. Received: {self.warmup_epochs}"
            )

    @property
    def variant(self) -> str:
        """How skips are refined, in a word.

        "plain", "dca", or what is left of DCA: "dca_channel", "dca_spatial",
        and "dca_control" with neither attention; with "_identity" at the end
        if it starts as the identity.
        """
        if not self.dca:
            return "plain"
        start = "" if self.start == "paper" else f"_{self.start}"
        return VARIANTS[self.channel_attention, self.spatial_attention] + start

    def to_dict(self) -> dict:
        """Return the recipe as a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        """Return the recipe that `to_dict` wrote, or JSON made of it.

        Recipes of earlier versions can be read.

        Raises:
            ValueError: If a name is missing or unknown, or a value is wrong.
        """
        fields = cls.__dataclass_fields__
        values = complete(values)
        if unknown := sorted(values.keys() - fields.keys()):
            raise ValueError(
                f"A recipe has no {', '.join(map(repr, unknown))}. "
                f"Names: {', '.join(fields)}"
            )
        required = {
            name
            for name, own in fields.items()
            if own.default is dataclasses.MISSING
        }
        if missing := sorted(required - values.keys()):
            raise ValueError(f"The recipe lacks {', '.join(missing)}.")
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values.items()
            }
        )

    def build_model(self) -> "keras.Model":
        """Build the recipe's model, untrained.

        Raises:
            ValueError: If the architecture can't be built so, for instance
                because its poolings don't divide `image_size`.
        """
        from dca_keras.zoo import create_model

        return create_model(
            self.model,
            input_shape=(*self.image_size, self.channels),
            num_classes=self.num_classes,
            dca=self._attention() if self.dca else False,
            dtype=self.dtype,
            **self._own_arguments(),
        )

    def _own_arguments(self):
        """Return what is given of the arguments that not all builders take."""
        given = {}
        for name in ("filters", "backbone", "backbone_weights"):
            value = getattr(self, name)
            if value is None:
                continue
            if not _takes(self.model, name):
                raise ValueError(
                    f"`{name}` must be left out for {self.model}, which has no "
                    f"such argument. Received: {value!r}"
                )
            given[name] = value
        return given

    def read_dataset(
        self,
        data_dir: str | Path | None = None,
        classes: str | Path | None = None,
    ) -> "Splits":
        """Read the recipe's data set as `dca_keras.data.Splits`.

        Args:
            data_dir: The folder it is in now; `None` for the recipe's.
            classes: The file of its classes; `None` for the recipe's.

        Raises:
            ValueError: If it can't be read.
        """
        from dca_keras.data import read_dataset, reader_takes

        # Not every data set knows what its owners distribute.
        own = {"partial": True} if self.partial else {}
        for name in ("images", "masks", "modality"):
            if getattr(self, name) is not None:
                own[name] = getattr(self, name)
        # Nor do all hold slices as well as volumes.
        if len(self.image_size) == 3 and reader_takes(self.data, "volumes"):
            own["volumes"] = True
        return read_dataset(
            self.data,
            data_dir or self.data_dir,
            channels=self.channels,
            num_classes=self.num_classes,
            classes=classes or self.classes,
            case_pattern=self.case_pattern,
            fold=self.fold,
            seed=self.seed,
            protocol=self.protocol,
            **own,
        )

    def cache_of(self, split: str) -> str:
        """Return what `make_dataset` takes as `cache` for a split."""
        named = {"memory": True, "none": False}
        return named.get(self.cache, Path(self.cache) / split)

    def run_name(self) -> str:
        """Return a name for a folder, such as `unet-dca-synthetic-seed0`."""
        attention = f"-{self.variant}" if self.dca else ""
        fold = f"-fold{self.fold.replace('/', 'of')}" if self.fold else ""
        return f"{self.model}{attention}-{self.data}{fold}-seed{self.seed}"

    def _attention(self):
        return DCAConfig(**{name: getattr(self, name) for name in ATTENTION})

    def command(self) -> str:
        """Return the command line that trains this recipe again.

        Options that `recipes.toml` implies are left out, and the cache, which
        changes no result. Of `data_dir` only the last folder is named, so
        that a published command says nothing about somebody's disk.
        """
        words = ["dca-keras", "train", "--model", self.model]
        words += ["--data", self.data]
        base = make_recipe(self.model, self.data)
        # What would follow from the data, on another machine perhaps not so.
        named = set(FOLLOWING) if follows_data(self.data) else set()
        if not self.dca:
            named.discard("patch_size")
        for own in dataclasses.fields(self):
            value = getattr(self, own.name)
            if own.name == "plugins":
                for name in value:
                    words += ["--plugin", name]
            elif own.name != "cache" and (
                value not in (None, getattr(base, own.name))
                or (own.name in named and value is not None)
            ):
                words += _fields.to_words(own, value)
        return shlex.join(words)


# Written here, so that `help` shows what the fields say.
Recipe.__doc__ += _fields.docstring(Recipe)


def make_recipe(
    model: str = "unet", data: str = "synthetic", **overrides
) -> Recipe:
    """Return the recipe of a model on a data set, with the user's changes.

    Args:
        model: Name of an architecture, one of `dca_keras.zoo.list_models()`.
        data: Name of a data set, one of `dca_keras.data.list_datasets()`.
        **overrides: Other fields of `Recipe`. `None` means not given; a single
            number as `image_size` is the side of a square. Those modules that
            `plugins` names are imported.

    Returns:
        A `Recipe`.

    Raises:
        ValueError: If a name is unknown or a value wrong.
    """
    load_plugins(overrides.get("plugins") or ())
    tables = _read_numbers()
    values = tables["defaults"]
    values |= tables["dataset"].get(data, {})
    values.pop("follows_data", None)
    if model in _models() and not _takes(model, "filters"):
        values.pop("filters", None)
    values |= tables.get("model", {}).get(model, {})
    values |= {k: v for k, v in overrides.items() if v is not None}
    if isinstance(values["image_size"], int):
        values["image_size"] = [values["image_size"]] * 2
    if len(values["image_size"]) == 3:  # Volumes keep their scale.
        values.setdefault("sampling", "crop")
    for name in PATHS:
        if values.get(name) not in (None, "memory", "none", "imagenet"):
            values[name] = str(Path(values[name]).expanduser().absolute())
    weights = values.get("weights")  # A path, or a name.
    if weights and Path(weights).expanduser().exists():
        values["weights"] = str(Path(weights).expanduser().absolute())
    return Recipe.from_dict({"model": model, "data": data} | values)


def check_split(split: str) -> None:
    """Check the name of a split.

    Raises:
        ValueError: If it is none of "train", "val" and "test".
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` must be one of {', '.join(map(repr, SPLITS))}. "
            f"Received: {split!r}"
        )


def follows_data(data: str) -> bool:
    """Whether what isn't given follows from the images of a data set.

    Args:
        data: Name of a data set. Those of the paper, and the generated one,
            have numbers of their own.
    """
    numbers = _read_numbers()["dataset"].get(data, {"follows_data": True})
    return numbers.get("follows_data", False)


def markdown_table() -> str:
    """Return a Markdown table of all hyperparameters, for documentation."""
    recipe = Recipe.from_dict(
        {"model": "unet", "data": "synthetic"} | _read_numbers()["defaults"]
    )
    return "\n".join(_fields.markdown_table(recipe))


def _read_numbers():
    text = resources.files("dca_keras").joinpath("recipes.toml").read_text()
    return tomllib.loads(text)
