"""Names, definitions and warnings, the same wherever scores are shown."""

FEW_CASES, FEW_RUNS = 50, 5
HEADINGS = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "hd95": "HD95",
    "assd": "ASSD",
}
VARIANTS = {
    "plain": "",
    "dca": " with DCA",
    "dca_channel": " with DCA's channel attention alone",
    "dca_spatial": " with DCA's spatial attention alone",
    "dca_control": " with DCA's residual and norm, without attention",
    "dca_identity": " with DCA from the identity start",
}
DEFINITIONS = {
    "Dice and IoU": "How far prediction and truth overlap, from 0 (nowhere) "
    "to 1 (they are equal). With P the predicted pixels of a class, T the "
    "true ones and I those in both: Dice = 2 I / (P + T), IoU = I / (P + T − "
    "I).",
    "Precision and recall": "Precision (positive predictive value) = I / P: "
    "how much of what was marked is right. Recall (sensitivity) = I / T: how "
    "much of what is there was marked.",
    "HD95 and ASSD": "How far the outlines of prediction and truth lie apart; "
    "0 is best. For every pixel of either outline, the distance to the "
    "nearest pixel of the other is taken. ASSD, the average symmetric surface "
    "distance, is the mean of these distances; HD95, the 95 % Hausdorff "
    "distance, is their 95th percentile.",
    "Empty masks": "Where a class is neither present nor predicted, Dice, "
    "IoU, precision and recall are 1 and the distances 0. Where it is "
    "predicted but not present, Dice, IoU and precision are 0; where it is "
    "present but not predicted, Dice, IoU and recall are 0. The other scores "
    "are undefined there: they are left out of the means, and the tables "
    "count them.",
    "Case": "A patient, a slide or a volume, with all of its images. Its "
    "overlap scores are those of all its pixels together. Its distances are "
    "measured in three dimensions if it is a volume with a known spacing; "
    "otherwise they are the means over its images.",
    "Foreground": "The mean over all classes but the background.",
}


def name_model(result):
    """Return the name of a result's model, such as "unet with DCA"."""
    variant = result.get("variant") or ("dca" if result.get("dca") else "plain")
    name = result["model"] + VARIANTS.get(variant, f" ({variant})")
    return name + " at the last epoch" * (result.get("epoch") == "last")


def name_data(result):
    """Return the name of a result's data: the folder's, or the data set's."""
    folder = {**result, **(result.get("recipe") or {})}.get("data_dir")
    if folder and result["data"] == "image_folder":
        return folder
    return result["data"]


def find_warnings(result):
    """Return what to know before believing a result, as sentences."""
    found = []
    split, protocol = result["split"], result.get("protocol")
    chosen = result.get("epoch") != "last"  # No images choose the last one.
    if protocol is None:
        found.append(
            "Whether the model was trained on some of these images is not "
            "recorded. If it was, the scores are too high."
        )
    elif split == "train":
        found.append(
            "The model was trained on these images: the scores are too high."
        )
    elif chosen and protocol == "paper":
        found.append(
            "The best epoch was chosen on these images, as in the paper: the "
            "scores are too high. They can be compared with the paper's, and "
            "say little about new images."
        )
    elif chosen and split == "val":
        found.append(
            "The best epoch was chosen on these images: the scores are "
            "somewhat too high."
        )
    return found + warn_of_few(result["cases"])


def warn_of_few(cases, runs=None):
    """Return what can't be known from few cases and few runs, as sentences.

    Args:
        cases: Their number.
        runs: The number of runs by the name of a group; None says nothing
            about runs.
    """
    found = []
    if cases < FEW_CASES:
        found.append(
            f"There {'are' if cases != 1 else 'is'} only "
            f"{count(cases, 'case')}: intervals from fewer than {FEW_CASES} "
            "are rough and somewhat too narrow."
        )
    runs = runs or {}
    if single := [name for name, number in runs.items() if number == 1]:
        found.append(
            f"Only one run of {', '.join(single)}: its intervals cover the "
            "choice of cases and not of the seed. Another seed may score "
            "outside of them."
        )
    few = [n for n in runs.values() if 1 < n < FEW_RUNS]
    if few:
        found.append(
            f"There are only {min(few)} runs a group: how much scores vary "
            "with the seed is hardly known, so the intervals are wide; from "
            f"{FEW_RUNS} runs on they are narrower."
        )
    return found


def count(number, kind):
    """Return such as "1 image" or "2 images", whatever the kind's number."""
    return f"{number} {kind.removesuffix('s')}{'s' * (number != 1)}"
