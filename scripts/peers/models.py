"""The models, each built at its smallest."""

import dataclasses
import importlib
import itertools
from collections.abc import Callable

import keras

from dca_keras import zoo
from peers import written
from peers.written import IMAGES

VOLUMES = (32, 32, 32, 1)
COLLECTION_WIDTHS = [8, 16, 32, 64]
# medicai's networks, the encoders to build them with, and in how many
# dimensions.
MEDICAI = (
    ("UNet", ("resnet18",), (2, 3)),
    ("UNet", ("densenet121", "efficientnet_b0"), (2,)),
    ("AttentionUNet", ("resnet18",), (2, 3)),
    ("UNetPlusPlus", ("resnet18",), (2, 3)),
    ("TransUNet", ("resnet18",), (2, 3)),
    ("UPerNet", ("resnet18",), (2, 3)),
    ("UPerNet", ("convnext_tiny", "swin_tiny", "mit_b0"), (2,)),
    ("UNETR", ("vit_base",), (2, 3)),
    ("UNETRPlusPlus", ("unetr_plusplus_encoder",), (2, 3)),
    ("SwinUNETR", ("swin_tiny",), (2, 3)),
    ("SwinUNETR", ("swin_tiny_v2",), (2,)),
    ("SegFormer", ("mit_b0",), (2,)),
    ("DeepLabV3Plus", ("resnet18",), (2,)),
)
COLLECTION = (
    "unet_2d",
    "att_unet_2d",
    "r2_unet_2d",
    "unet_plus_2d",
    "unet_3plus_2d",
    "transunet_2d",
    "swin_unet_2d",
    "resunet_a_2d",
    "vnet_2d",
)

# Of ours, the one that is very large.
OURS_SMALL = {"trans_unet": {"units": (1, 1, 1), "depth": 2}}


@dataclasses.dataclass(frozen=True)
class Peer:
    """A model to put DCA into.

    Args:
        package: The distribution that it is from, or where it is written down.
        network: Its name there.
        build: A function of nothing that builds it.
        detail: What else tells it from others: its encoder, its dimensions.
        module: What must be importable; the build imports it.
    """

    package: str
    network: str
    build: Callable[[], keras.Model]
    detail: str = ""
    module: str = "keras"

    @property
    def name(self):
        return " ".join(filter(None, (self.network, self.detail)))

    @property
    def key(self):
        return f"{self.package} {self.name}"


def _medicai(network, encoder, dimensions):
    def build():
        models = importlib.import_module("medicai.models")
        return getattr(models, network)(
            input_shape={2: IMAGES, 3: VOLUMES}[dimensions],
            encoder_name=encoder,
            num_classes=1,
        )

    detail = f"{encoder} {dimensions}-D"
    return Peer("medicai", network, build, detail, "medicai")


def _collection(network):
    def build():
        module = importlib.import_module("keras_unet_collection.models")
        return getattr(module, network)(**_collection_options(network))

    module = "keras_unet_collection"
    return Peer("keras-unet-collection", network, build, "2-D", module)


def _collection_options(network):
    options = {
        "input_size": IMAGES,
        "filter_num": COLLECTION_WIDTHS,
        "n_labels": 1,
        "output_activation": "Sigmoid",
    }
    if network == "swin_unet_2d":
        more = {"depth": 2, "num_heads": [2] * 3, "window_size": [2] * 3}
        more |= {"stack_num_down": 2, "stack_num_up": 2, "num_mlp": 16}
        options |= {"filter_num_begin": 8, "patch_size": (2, 2), **more}
        del options["filter_num"]
    elif network == "unet_3plus_2d":
        options["filter_num_down"] = options.pop("filter_num")
    elif network == "resunet_a_2d":
        options["dilation_num"] = [1, 3]
    elif network == "vnet_2d":
        options |= {"pool": False, "unpool": False}
    return options


def _hub(network, build):
    return Peer("keras-hub", network, build, "2-D", "keras_hub")


def _ours(network):
    def build():
        options = OURS_SMALL.get(network, {})
        return getattr(zoo, network)(IMAGES, dca=False, **options)

    return Peer("dca-keras", network, build, "2-D")


def _applications(backbone):
    def build():
        kind = getattr(keras.applications, backbone)
        encoder = kind(weights=None, include_top=False, input_shape=IMAGES)
        return zoo.unet_with(encoder, dca=False)

    return Peer("keras.applications", backbone, build, "U-Net decoder 2-D")


def _all():
    for network, encoders, dimensions in MEDICAI:
        for encoder, number in itertools.product(encoders, dimensions):
            yield _medicai(network, encoder, number)
    yield from map(_collection, COLLECTION)
    yield _hub("SegFormerBackbone", written.hub_segformer)
    yield _hub("DeepLabV3Backbone", written.hub_deeplab)
    yield _hub(
        "ResNetBackbone", lambda: zoo.unet_with(written.hub_resnet(), dca=False)
    )
    yield Peer("keras.io", "U-Net, segmentation", written.keras_io_unet)
    yield Peer("tensorflow.org", "U-Net, tutorial", written.pretrained_unet)
    yield from map(_applications, ("ResNet50", "MobileNetV2", "EfficientNetB0"))
    yield from map(_ours, zoo.list_models())


PEERS = tuple(_all())
