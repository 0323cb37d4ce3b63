"""Share what training made: a folder that anybody can load.

>>> from dca_keras.sharing import share
>>> share("runs/unet-dca-cells-seed0", "shared", license="cc-by-4.0")
"""

from dca_keras.sharing._share import share as share
