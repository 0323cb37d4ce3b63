"""The commands `dca-keras data` and `dca-keras prepare`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dca_keras.cli._options import (
    Channels,
    NumClasses,
    Partial,
    err,
    out,
    print_error,
    print_line,
    recipe_options,
)
from dca_keras.cli._recipes import choose_recipe, name_dataset

Dataset = Annotated[
    str, typer.Option(help="Name of the data set, such as glas.")
]


def data(
    data_dir: Annotated[
        Path | None, typer.Argument(help="The data set's folder.")
    ] = None,
    data: Dataset = "image_folder",
    channels: Channels = None,
    num_classes: NumClasses = None,
    partial: Partial = None,
    sheet: Annotated[
        Path, typer.Option(help="File for the contact sheet.")
    ] = Path("contact_sheet.png"),
):
    """Check a data set and summarize it.

    Every image is loaded once. A table shows counts, sizes and class shares
    by split; a contact sheet shows images with the outlines of their masks.
    """
    from dca_keras.data import (
        check_samples,
        read_dataset,
        save_contact_sheet,
        summarize,
    )

    own = {"partial": True} if partial else {}
    splits = read_dataset(
        data, data_dir, channels=channels, num_classes=num_classes, **own
    )
    table = Table("split", box=None)
    for heading in ("images", "cases", "sizes", "class shares", "empty masks"):
        table.add_column(heading, justify="right")
    shown, broken = [], []
    for split in ("train", "val", "test"):
        samples, errors = check_samples(
            getattr(splits, split), skip_broken=True
        )
        found = summarize(samples)
        sizes = [f"{size}: {count}" for size, count in found["sizes"].items()]
        shares = found["class_shares"].items()
        table.add_row(
            split,
            str(found["images"]),
            str(found["cases"]),
            "\n".join(sizes[:3] + ["…"] * (len(sizes) > 3)),
            "\n".join(f"{index}: {share:.1%}" for index, share in shares),
            str(found["empty_masks"]),
        )
        shown += samples
        broken += errors
    out.print(table)
    save_contact_sheet(shown, sheet)
    print_line(f"  {sheet}")
    for message in broken:
        print_error(message)
    if broken:
        raise typer.Exit(1)


@recipe_options(
    *("data", "data_dir", "model", "image_size", "sampling", "spacing"),
    *("channels", "num_classes", "classes", "case_pattern", "fold"),
    *("partial", "empty_masks", "skip_broken"),
)
def prepare(
    output: Annotated[Path, typer.Argument(help="Folder to write to.")],
    **given,
):
    """Write the images of a data set that does not fit in memory.

    They are resized, or, for crops, whole and preprocessed. `dca-keras train
    --cache OUTPUT` with the same options reads them from there. Run again
    after a stop, it writes only what is missing.
    """
    from dca_keras.data import prepare as prepare_samples
    from dca_keras.training import open_dataset

    given = {"data": "image_folder"} | name_dataset(None, given)
    recipe, fingerprint = choose_recipe(cache=output, **given)
    splits = open_dataset(recipe, err, fingerprint).splits
    size = recipe.image_size if recipe.sampling == "resize" else None
    for split in ("train", "val"):
        folder, samples = recipe.cache_of(split), getattr(splits, split)
        with err.status(f"writing {folder}"):
            shards = prepare_samples(samples, size, folder)
        print_line(f"  {folder}: {len(samples)} images, {len(shards)} shards")
