"""One line a check, for `run.py` to count."""

import sys
import traceback

failed = 0


def check(name, what):
    """Calls `what`; it passes if it returns. What it returns, if anything, is shown behind the name."""
    global failed
    try:
        note = what()
    except Exception as error:
        failed += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = " ".join(str(error).split())[:600] or where.line
        print(f"FAIL {name}: {type(error).__name__}: {told} [{where.name}, line {where.lineno}]", flush=True)
    else:
        print(f"ok   {name}" + (f": {note}" if note else ""), flush=True)


def equal(got, want, what="got"):
    if got != want:
        raise AssertionError(f"{what} {got!r}, not {want!r}")


def end():
    sys.exit(1 if failed else 0)
