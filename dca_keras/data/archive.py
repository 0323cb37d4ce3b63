"""Find and check the files of an archive as its owners distribute it."""

from pathlib import Path

from dca_keras.data.decoding import read_image, read_labels

DEPTH = 3
SHOWN_NAMES = 10


def list_folder(folder, layout=""):
    """Return the paths in a folder, sorted.

    Args:
        folder: The folder.
        layout: What it should hold, in words, for the error.

    Raises:
        ValueError: If the folder can't be read.
    """
    try:
        return sorted(Path(folder).expanduser().iterdir())
    except OSError as error:
        raise ValueError(
            f"{folder} can't be read as a folder: {error.strerror}. {layout}"
        ) from error


def find_folder(data_dir, holds, layout, need=all):
    """Find the folder that an archive was unpacked to.

    Args:
        data_dir: The folder itself, or one above it.
        holds: Glob patterns of what the folder holds.
        layout: The same in words, for the error.
        need: `all`, or `any` if one of the patterns is enough.

    Returns:
        The path of the first such folder, those nearest to `data_dir` first.

    Raises:
        ValueError: If there is none.
    """
    level = [Path(data_dir).expanduser()]
    list_folder(level[0], layout)
    closed = []
    for _ in range(DEPTH + 1):
        for folder in level:
            if need(any(folder.glob(pattern)) for pattern in holds):
                return folder
        level = [path for folder in level for path in _enter(folder, closed)]
    hint = f"No permission to read {shorten(closed)}. " if closed else ""
    raise ValueError(f"{data_dir} does not hold the data set. {hint}{layout}")


def _enter(folder, closed):
    try:
        return [
            path
            for path in sorted(folder.iterdir())
            if path.is_dir() and not path.name.startswith(".")
        ]
    except PermissionError:
        closed.append(folder)
        return []


def take_files(root, wanted, partial):
    """Check that the files of all samples are there.

    Args:
        root: The folder of the archive.
        wanted: Names of all samples that the owners distribute, and the
            paths of their files relative to `root`.
        partial: Whether to leave out samples whose files are missing.

    Returns:
        A dictionary of the samples' names and tuples of paths.

    Raises:
        ValueError: If files are missing. It says how many, and names the
            first of them.
    """
    whole = {}
    missing = []
    for name, files in wanted.items():
        absent = [file for file in files if not (root / file).is_file()]
        missing += absent
        if not absent:
            whole[name] = tuple(root / file for file in files)
    if whole and (partial or not missing):
        return whole
    total = sum(map(len, wanted.values()))
    use_these = " Or pass `partial=True` to use what is here."
    raise ValueError(
        f"{root} holds {total - len(missing)} of {total} files. Missing: "
        f"{shorten(missing)}. Download and unpack the archive again."
        + use_these
        * bool(whole)
    )


def shorten(names):
    """Join the first few of many names."""
    shown = ", ".join(map(str, names[:SHOWN_NAMES]))
    return shown + ", …" * (len(names) > SHOWN_NAMES)


def check_binary(num_classes):
    """Raise `ValueError` for more classes than one and the background."""
    if num_classes not in (1, 2):
        raise ValueError(
            "`num_classes` must be 1, or 2 with the background, for this "
            f"data set. Received: {num_classes!r}"
        )


def load_binary_pair(image_path, mask_path, channels):
    """Load an image and the mask of one class.

    Pixels above 127 are foreground, as masks may be blurred or stored as
    JPEG; in a file of 0 and 1 those of 1 are.
    """
    labels = read_labels(mask_path)
    mask = labels > (127 if labels.max() > 1 else 0)
    return check_sizes(
        read_image(image_path, channels),
        mask.astype("int32"),
        image_path,
        mask_path,
    )


def check_sizes(image, mask, image_path, mask_path):
    """Return an image and its mask if they have the same size.

    Raises:
        ValueError: If they don't. It names both files.
    """
    if image.shape[:2] != mask.shape[:2]:
        raise ValueError(
            f"{image_path} and {mask_path} differ in (height, width): "
            f"{image.shape[:2]} and {mask.shape[:2]}. Save them at one size."
        )
    return image, mask
