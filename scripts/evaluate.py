"""Score trained models side by side: python scripts/evaluate.py runs/*

Every folder that `scripts/train.py` or `dca-keras train` made gets one line,
and its metrics.json and predictions.png are written again.
"""

import sys

from dca_keras.evaluation import evaluate_run

LINE = "{:<20} {:>5} {:>5} {:>11} {:>7} {:>7}"

if __name__ == "__main__":
    print(LINE.format("model", "DCA", "seed", "parameters", "Dice", "IoU"))
    for run in sys.argv[1:]:
        scores = evaluate_run(run)
        print(
            LINE.format(
                scores["model"],
                "yes" if scores["dca"] else "no",
                scores["seed"],
                f"{scores['parameters']:,}",
                f"{scores['dice']:.4f}",
                f"{scores['iou']:.4f}",
            )
        )
