"""Weights to start from: of a run, of a file, published or shared.

>>> from dca_keras.weights import load_weights
>>> load_weights(model, "runs/unet-dca-glas-seed0")
"""

from dca_keras.weights._load import Loaded as Loaded
from dca_keras.weights._load import load_weights as load_weights
