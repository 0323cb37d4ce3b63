"""Segmentation architectures, each with and without Dual Cross-Attention.

Every builder takes the same first arguments and returns a functional
`keras.Model`:

>>> from dca_keras.zoo import unet
>>> model = unet(input_shape=(224, 224, 3), num_classes=1, dca=True)

`register_model` adds an architecture of your own, which `scaffold` and
`dca_keras.blocks` help to build.
"""

# isort: skip_file
# Architectures are listed in the order of these lines: the paper's, in its
# order, and then more of the family.
from dca_keras.zoo import backbones as backbones
from dca_keras.zoo import scaffold as scaffold
from dca_keras.zoo._models import create_model as create_model
from dca_keras.zoo._models import list_models as list_models
from dca_keras.zoo._models import register_model as register_model
from dca_keras.zoo._models import takes_argument as takes_argument
from dca_keras.weights import list_weights as list_weights

from dca_keras.zoo._unet import unet as unet
from dca_keras.zoo._vnet import vnet as vnet
from dca_keras.zoo._r2_unet import r2_unet as r2_unet
from dca_keras.zoo._resunet_plus_plus import (
    resunet_plus_plus as resunet_plus_plus,
)
from dca_keras.zoo._double_unet import double_unet as double_unet
from dca_keras.zoo._multi_res_unet import multi_res_unet as multi_res_unet
from dca_keras.zoo._attention_unet import attention_unet as attention_unet
from dca_keras.zoo._unet_plus_plus import unet_plus_plus as unet_plus_plus
from dca_keras.zoo._trans_unet import trans_unet as trans_unet
from dca_keras.zoo._swin_unet import swin_unet as swin_unet
from dca_keras.zoo._unet_with import unet_with as unet_with
