"""Weights to start from: of a run, of a file, published or shared.

>>> from dca_keras.weights import load_weights
>>> load_weights(model, "runs/unet-dca-glas-seed0")
"""

from dca_keras.weights._load import Loaded as Loaded
from dca_keras.weights._load import load_weights as load_weights
from dca_keras.weights._recipes import architecture_of as architecture_of
from dca_keras.weights._recipes import shipped_arguments as shipped_arguments
from dca_keras.weights._shipped import list_weights as list_weights
from dca_keras.weights._sources import find_folder as find_folder
