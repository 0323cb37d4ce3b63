"""Gradio, told to keep to itself before it is imported."""

import os

from dca_keras._extras import import_extra

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
gradio = import_extra("gradio", extra="app", purpose="The page")
