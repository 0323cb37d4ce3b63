"""The commands `dca-keras data` and `dca-keras prepare`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dca_keras.cli._options import (
    Channels,
    DataDir,
    EmptyMasks,
    ImageSize,
    NumClasses,
    Partial,
    SkipBroken,
    err,
    out,
    print_error,
    print_line,
    sides,
)


def data(
    data_dir: Annotated[Path, typer.Argument(help="The dataset's folder.")],
    data: Annotated[
        str, typer.Option(help="Dataset, such as glas or image_folder.")
    ] = "image_folder",
    channels: Channels = None,
    num_classes: NumClasses = None,
    partial: Partial = None,
    sheet: Annotated[Path, typer.Option(help="The picture to write.")] = Path(
        "contact_sheet.png"
    ),
):
    """Show what is in a dataset: counts, sizes, classes and a picture."""
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
    table = Table("part", box=None)
    for heading in ("images", "cases", "sizes", "class shares", "empty masks"):
        table.add_column(heading, justify="right")
    shown, broken = [], []
    for part in ("train", "val", "test"):
        samples, errors = check_samples(getattr(splits, part), skip_broken=True)
        found = summarize(samples)
        sizes = [f"{size}: {count}" for size, count in found["sizes"].items()]
        shares = found["class_shares"].items()
        table.add_row(
            part,
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


def prepare(
    output: Annotated[Path, typer.Argument(help="Folder to write to.")],
    data: Annotated[
        str, typer.Option(help="Dataset, such as glas or image_folder.")
    ] = "image_folder",
    data_dir: DataDir = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    num_classes: NumClasses = None,
    partial: Partial = None,
    empty_masks: EmptyMasks = None,
    skip_broken: SkipBroken = None,
):
    """Write resized images once, for a dataset that memory can't hold.

    `dca-keras train --cache OUTPUT` with the same options trains from there.
    Taken up again after a stop, it writes only what is missing.
    """
    from dca_keras.data import prepare as prepare_samples
    from dca_keras.recipe import make_recipe
    from dca_keras.training._usable import read_usable

    recipe = make_recipe(
        data=data,
        data_dir=data_dir,
        image_size=sides(image_size),
        channels=channels,
        num_classes=num_classes,
        partial=partial,
        empty_masks=empty_masks,
        skip_broken=skip_broken,
        cache=output,
    )
    splits = read_usable(recipe, err)
    for part in ("train", "val"):
        folder, samples = recipe.cache_of(part), getattr(splits, part)
        with err.status(f"writing {folder}"):
            shards = prepare_samples(samples, recipe.image_size, folder)
        print_line(f"  {folder}: {len(samples)} images, {len(shards)} shards")
