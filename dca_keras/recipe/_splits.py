"""What the parts of a data set are called."""

SPLITS = ("train", "val", "test")


def check_split(split: str) -> None:
    """Check the name of a split.

    Raises:
        ValueError: If it is none of "train", "val" and "test".
    """
    if split not in SPLITS:
        raise ValueError(
            f"`split` must be one of {', '.join(map(repr, SPLITS))}. "
            f"Received: {split!r}"
        )
