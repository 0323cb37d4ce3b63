"""The folder of a run: the one place that knows what is in it."""

from dca_keras._run_files import EPOCHS as EPOCHS
from dca_keras._run_files import FOLDERS as FOLDERS
from dca_keras._run_files import PATHS as PATHS
from dca_keras.run._run import Run as Run
from dca_keras.run._state import Checkpoint as Checkpoint
