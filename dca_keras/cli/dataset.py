"""The commands `dca-keras data` and `dca-keras prepare`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dca_keras.cli._options import (
    err,
    optional,
    out,
    print_error,
    print_line,
    print_warning,
    recipe_options,
)
from dca_keras.cli._recipes import choose_recipe, name_dataset


@recipe_options(
    *("channels", "num_classes", "classes", "images", "masks", "modality"),
    *("case_pattern", "fold", "partial", "shown_channels"),
)
def data(
    data_dir: Annotated[
        Path | None, typer.Argument(help="The data set's folder.")
    ] = None,
    data: optional(
        str, "Name of the data set; what the folder holds if not given."
    ) = None,
    sheet: Annotated[
        Path, typer.Option(help="File for the contact sheet.")
    ] = Path("contact_sheet.png"),
    **given,
):
    """Check a data set and summarize it.

    Every image is loaded once. A table shows counts, sizes and class shares
    by split, and below it how images and masks belong together and which
    values are which class; a contact sheet shows images with the outlines of
    their masks. The classes found are written to classes.json beside it:
    correct it and pass it as --classes, to merge values or to name classes.
    """
    from dca_keras.data import detect, read_dataset, save_contact_sheet

    reason, channels = "", given.pop("shown_channels", None)
    if data is None and data_dir is not None:
        data, reason = detect(data_dir)
        reason = f", since {reason}"
    with err.status("looking through the masks"):
        splits = read_dataset(data or "image_folder", data_dir, **given)
    table, shown, broken = _summarize_splits(splits)
    out.print(table)
    print_line(f"data set: {data or 'image_folder'}{reason}")
    _show_facts(splits)
    save_contact_sheet(shown, sheet, channels=channels)
    print_line(f"  {sheet}")
    if splits.classes is not None and not given.get("classes"):
        _write_classes(sheet.with_name("classes.json"), splits.classes)
    for message in broken:
        print_error(message)
    if broken:
        raise typer.Exit(1)


def _summarize_splits(splits):
    """Return the table, the samples that can be used, and the errors."""
    from dca_keras.data import check_samples, summarize

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
    return table, shown, broken


def _show_facts(splits):
    """Print what the reader found: channels, pairs and classes."""
    from dca_keras.data import describe_strays

    if splits.channels is not None:
        kinds = ", ".join(splits.modalities or ())
        print_line(f"channels: {splits.channels}" + f" ({kinds})" * bool(kinds))
    if (found := splits.classes) is None:
        return
    print_line(f"pairs: {found['pairs']}")
    if left_out := found["left_out"]:
        print_line(f"left out: {len(left_out)}, such as {left_out[0]}")
    print_line(f"classes: {splits.num_classes} (`num_classes`)")
    for entry in found["classes"]:
        value = entry.get("colour", entry.get("value"))
        print_line(f"  {value} -> {entry['index']} {entry['name']}")
    if strays := describe_strays(splits):
        print_warning(strays)


def _write_classes(path, classes):
    """Write the file of classes, unless the user has corrected it."""
    from dca_keras._files import write_json

    if path.is_file() and _read_json(path) != json.loads(json.dumps(classes)):
        print_warning(
            f"{path} is there already and says something else, so it is left "
            f"as it is. --classes {path} uses it; remove it to write it again."
        )
        return
    write_json(path, classes)
    print_line(f"  {path}")


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


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
