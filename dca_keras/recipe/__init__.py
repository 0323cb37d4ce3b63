"""Recipes: what a training run is made of, as one value.

A hyperparameter is a field of `Recipe`, defined once; `recipes.toml` holds
the numbers, and `make_recipe` merges them with the user's.
"""

from dca_keras.config import ATTENTION as ATTENTION
from dca_keras.recipe._command import FOLLOWING as FOLLOWING
from dca_keras.recipe._earlier import PER_IMAGE_LOSS as PER_IMAGE_LOSS
from dca_keras.recipe._earlier import complete as complete
from dca_keras.recipe._hyperparameters import MONITORS as MONITORS
from dca_keras.recipe._hyperparameters import PATH as PATH
from dca_keras.recipe._hyperparameters import PATHS as PATHS
from dca_keras.recipe._numbers import follows_data as follows_data
from dca_keras.recipe._numbers import make_recipe as make_recipe
from dca_keras.recipe._numbers import markdown_table as markdown_table
from dca_keras.recipe._recipe import VARIANTS as VARIANTS
from dca_keras.recipe._recipe import Recipe as Recipe
from dca_keras.recipe._splits import SPLITS as SPLITS
from dca_keras.recipe._splits import check_split as check_split
