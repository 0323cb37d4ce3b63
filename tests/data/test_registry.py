import subprocess
import sys

import pytest

from dca_keras import data


def test_lists_datasets():
    assert data.list_datasets() == (
        "cvc_clinicdb",
        "glas",
        "image_folder",
        "kvasir_seg",
        "monuseg",
        "synapse",
        "synthetic",
    )


WRONG_CALLS = [
    ({"name": "imagenet"}, "`name` must be one of .*synthetic.*'imagenet'"),
    ({"name": "image_folder"}, "'image_folder' needs `data_dir`"),
    ({"data_dir": "x"}, "'synthetic' is read from no folder.*Received: 'x'"),
    ({"channels": 4}, "`channels` must be 1 or 3. Received: 4"),
    ({"num_classes": 0}, "`num_classes` must be 1 or more. Received: 0"),
    ({"protocol": "best"}, "`protocol` must be one of .*Received: 'best'"),
    ({"image_sid": 3}, r"takes no \['image_sid'\]. It takes .*'image_side'"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_CALLS)
def test_names_wrong_calls(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.read_dataset(**({"name": "synthetic"} | arguments))


def test_importing_needs_no_tensorflow():
    code = (
        "import sys; from dca_keras import data; "
        "data.read_dataset('synthetic', train=1).train[0].load(); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hands_out_what_it_lists():
    for name in data.__all__:
        assert getattr(data, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'read_mri'"):
        _ = data.read_mri
