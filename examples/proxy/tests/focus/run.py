#!/usr/bin/env python3
"""Checks a FOCUS 1.0 file with focus-validator: python3 examples/proxy/tests/focus/run.py FILE.csv

Damaged copies of the file must fail. The validator is installed in a temporary folder, in the version pinned here.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"

# The validator expects the names of an earlier specification for these columns of FOCUS 1.0.
OLD_NAMES = {
    "InvoiceIssuerName": "InvoiceIssuer",
    "ProviderName": "Provider",
    "PublisherName": "Publisher",
    "ResourceId": "ResourceID",
}

# The rule reads ChargeType, which FOCUS 1.0 calls ChargeCategory. It fails for each file, unless pandas takes its list of
# three columns for labels of rows, because the file has three rows.
SKIPPED_RULES = "overrides: [SkuPriceId_Nullable]\n"

# A value for one column of the last row, with which the file is not valid. `None` removes the column.
DAMAGES = {"BillingCurrency": "dollars", "ChargePeriodStart": "yesterday", "BilledCost": "", "ServiceName": None}

# The exit code of the validator is 0 in both cases.
SUCCESS = "Validation succeeded."
FAILURE = "Validation failed!"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", type=Path, help="a file written with --format focus")
    path = options.parse_args().file
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    if not rows:
        sys.exit(f"{path}: the file has no rows")

    header = [OLD_NAMES.get(name, name) for name in header]
    with tempfile.TemporaryDirectory(prefix="focus-validator-") as folder:
        validator = Validator(Path(folder))
        output = validator.run(header, rows)
        if SUCCESS not in output.splitlines():
            sys.exit(f"{output}\n{path}: the file is not valid")
        for column, value in DAMAGES.items():
            output = validator.run(*damage(header, rows, column, value))
            if FAILURE not in output.splitlines() or f"{column}_" not in output:
                sys.exit(f"{output}\n{path}: a copy with the {column} {value!r} is valid")
    print(f"{path}: {len(rows)} rows are valid, and {len(DAMAGES)} damaged copies are not")


def damage(header, rows, column, value):
    """The file without a column, or with another value in the last row."""
    if value is None:
        return [name if name != column else "x_removed" for name in header], rows
    last = list(rows[-1])
    last[header.index(column)] = value
    return header, [*rows[:-1], last]


class Validator:
    """The validator in a virtual environment in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.programs = folder / "venv/bin"
        (folder / "overrides.yaml").write_text(SKIPPED_RULES)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        pip = [self.programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", REQUIREMENTS], check=True)

    def run(self, header, rows):
        """Validates a copy with these rows and returns the output."""
        copy = self.folder / "copy.csv"
        with copy.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        command = [self.programs / "focus-validator", "--validate-version", "1.0", "--data-file", copy]
        command += ["--override-file", self.folder / "overrides.yaml"]
        # The path of its list of currencies is relative to the folder of its packages.
        (packages,) = self.folder.glob("venv/lib/python*/site-packages")
        return subprocess.run(command, cwd=packages, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


if __name__ == "__main__":
    main()
