"""The hyperparameters, each defined once: type, help, rule and default."""

import dataclasses
from pathlib import Path

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
    check,
    field,
    one_of,
    same_field,
)
from dca_keras.config import DCAConfig

# What may choose the best epoch, and whether the least or the most is best.
MONITORS = {"val_dice": max, "val_iou": max, "val_loss": min}
# A path of which a published command names the last part only.
PATH = dataclasses.replace(
    TEXT, text="a path", show=lambda value: Path(value).name
)
PATHS = ("data_dir", "classes", "cache", "backbone_weights")


def _models():
    from dca_keras.zoo import list_models

    return list_models(all=True)


def _datasets():
    from dca_keras.data import list_datasets

    return list_datasets()


def _last_name(path):
    return path if path.startswith("hf://") else Path(path).name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The fields of a `Recipe`, in the order of the command's options.

    The check of a value, the option of the command and the documentation
    follow from its field, see `dca_keras._fields`.
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
        check(self)
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
