"""Write src/pellucid/data/digits.npz from the copy of the digits that scikit-learn ships.

    python scripts/make_digits.py

Needed only to make the file anew; scikit-learn is no dependency of the package.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

FILE = Path(__file__).parent.parent / "src" / "pellucid" / "data" / "digits.npz"


def main() -> None:
    X, y = load_digits(return_X_y=True)
    counts, labels = X.astype(np.uint8), y.astype(np.uint8)
    if not (np.array_equal(counts, X) and counts.max() == 16 and np.array_equal(labels, y)):
        raise SystemExit(
            "scikit-learn's digits are no longer counts of 0 to 16 and labels of 0 to 9"
        )
    np.savez_compressed(FILE, X=counts, y=labels)
    print(f"{FILE}: {counts.shape[0]} images, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
