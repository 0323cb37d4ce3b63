"""Six segmentation architectures, each with and without Dual Cross-Attention.

Every builder takes the same first arguments and returns a functional
`keras.Model`:

>>> from dca_keras.zoo import unet
>>> model = unet(input_shape=(224, 224, 3), num_classes=1, dca=True)
"""

from dca_keras.zoo._double_unet import double_unet
from dca_keras.zoo._multi_res_unet import multi_res_unet
from dca_keras.zoo._r2_unet import r2_unet
from dca_keras.zoo._resunet_plus_plus import resunet_plus_plus
from dca_keras.zoo._unet import unet
from dca_keras.zoo._vnet import vnet

__all__ = [
    "create_model",
    "double_unet",
    "list_models",
    "multi_res_unet",
    "r2_unet",
    "resunet_plus_plus",
    "unet",
    "vnet",
]

_BUILDERS = {
    builder.__name__: builder
    for builder in (
        unet,
        vnet,
        r2_unet,
        resunet_plus_plus,
        double_unet,
        multi_res_unet,
    )
}


def list_models():
    """The names that `create_model` knows, as a list of strings."""
    return list(_BUILDERS)


def create_model(name, /, *args, **kwargs):
    """Builds the architecture `name` with its builder's arguments.

    Args:
        name: One of `list_models()`.
        *args: The builder's arguments.
        **kwargs: The builder's arguments, its own `name` among them.

    Raises:
        ValueError: If there is no such architecture.
    """
    if name not in _BUILDERS:
        raise ValueError(
            f"There is no model {name!r}. Available: {', '.join(_BUILDERS)}."
        )
    return _BUILDERS[name](*args, **kwargs)
