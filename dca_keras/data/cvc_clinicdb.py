"""CVC-ClinicDB: polyps in colonoscopy."""

import bisect
import functools

from dca_keras.data.archive import (
    check_binary,
    find_folder,
    load_binary_pair,
    take_files,
)
from dca_keras.data.registry import register_dataset
from dca_keras.data.samples import Sample, Splits, split_by_case

# The last frame of each of the 29 video sequences, by the owners' page
# https://polyp.grand-challenge.org/CVCClinicDB
LAST_FRAMES = (
    *(25, 50, 67, 78, 103, 126, 151, 177, 199, 205, 227, 252, 277, 297, 317),
    *(342, 363, 383, 408, 428, 447, 466, 478, 503, 528, 546, 571, 591, 612),
)
SHARES = (0.6, 0.15, 0.25)
LAYOUT = (
    "CVC-ClinicDB is a folder with Original/1.tif … 612.tif and "
    "Ground Truth/ of the same names; in mirrors TIF/ or PNG/ holds them."
)


@register_dataset(
    "cvc_clinicdb",
    class_names=("polyp",),
    published_batch=17,
    layouts=[("Original/612.*", "Ground Truth/612.*")],
)
def read_cvc_clinicdb(data_dir, *, channels=3, num_classes=1, partial=False):
    """Read the CVC-ClinicDB archive, as distributed or from a mirror.

    612 frames of 384×288 pixels, uint8 RGB, of 29 colonoscopy videos, each
    with the mask of its polyps. TIFF files are taken before the PNG files
    of a mirror.

    The owners define no splits. The case is the video, which follows from
    the frame's number, and a hash of the case assigns about 60 % to train,
    15 % to val and 25 % (the share in the paper's code) to test. Splits by
    frame, such as the paper's, test on neighbours of training frames.

    Source: https://polyp.grand-challenge.org/CVCClinicDB
    Licence: the owners' terms, see there; commonly given as research and
    education only, with the citation.
    Citation: J. Bernal et al., "WM-DOVA maps for accurate polyp
    highlighting in colonoscopy", Computerized Medical Imaging and Graphics
    43, 2015.

    Args:
        data_dir: The unpacked folder, or one above it.
        channels: 3, or 1 for the luma.
        num_classes: 1, or 2 with the background.
        partial: Whether to accept an archive that is not complete.

    Returns:
        The `Splits`.

    Raises:
        ValueError: If the archive is not there, or not complete.
    """
    check_binary(num_classes)
    root = find_folder(data_dir, ["Original/*", "Ground Truth"], LAYOUT)
    if (root.parent / "TIF" / "Original").is_dir():
        root = root.parent / "TIF"
    suffix = "tif" if any(root.glob("Original/*.tif")) else "png"
    frames = range(1, LAST_FRAMES[-1] + 1)
    wanted = {
        str(frame): (
            f"Original/{frame}.{suffix}",
            f"Ground Truth/{frame}.{suffix}",
        )
        for frame in frames
    }
    files = take_files(root, wanted, partial)
    samples = [
        Sample(
            name,
            f"sequence{bisect.bisect_left(LAST_FRAMES, int(name)) + 1}",
            functools.partial(load_binary_pair, *paths, channels),
            files=paths,
        )
        for name, paths in files.items()
    ]
    return Splits(*split_by_case(samples, SHARES))
