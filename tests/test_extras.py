"""Packages that only some functions need."""

import json

import pytest

from dca_keras._extras import import_extra


def test_gives_the_module():
    assert import_extra("json", extra="x", purpose="Reading") is json


def test_names_the_extra_of_a_missing_package():
    with pytest.raises(
        ImportError,
        match=r'^Reading needs absent: pip install "dca-keras\[x\]"$',
    ):
        import_extra("absent.part", extra="x", purpose="Reading")
