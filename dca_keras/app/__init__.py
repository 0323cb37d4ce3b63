"""A page in the browser that shows what models find in images.

Needs the extra `app`. `dca-keras app` starts it.
"""

from dca_keras.app._serve import (
    MAX_MEGABYTES,
    MAX_PIXELS,
    is_loopback,
    running_page,
)

__all__ = ["MAX_MEGABYTES", "MAX_PIXELS", "is_loopback", "running_page"]
