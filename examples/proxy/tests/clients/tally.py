"""Prints one line for each check. `run.py` counts them."""

import sys
import traceback

failed = 0


def check(name, function):
    """Calls the function. The check passes if it returns; the result, if any, is printed behind the name."""
    global failed
    try:
        note = function()
    except Exception as error:
        failed += 1
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = " ".join(str(error).split())[:600] or where.line
        print(f"FAIL {name}: {type(error).__name__}: {message} [{where.name}, line {where.lineno}]", flush=True)
    else:
        print(f"ok   {name}" + (f": {note}" if note else ""), flush=True)


def equal(got, want, what="got"):
    if got != want:
        raise AssertionError(f"{what} {got!r}, not {want!r}")


def raises(kind, status, call):
    """Calls the function, which must raise an exception of an SDK with the API's own message."""
    try:
        call()
    except kind as error:
        equal(error.status_code, status, "status")
        # The body of Anthropic's errors is the whole response, and that of OpenAI's is its member `error`.
        body = error.body.get("error", error.body)
        equal(bool(error.message and body["message"]), True, "the API's own message:")
        return f"{type(error).__name__}: {body['message']}"
    raise AssertionError(f"{kind.__name__} was not raised")


def end():
    sys.exit(1 if failed else 0)
