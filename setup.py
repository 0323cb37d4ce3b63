from setuptools import setup

# Everything about the package stands in pyproject.toml; this file lets tools
# that look for a setup.py find one.
setup()
