"""The published Python SDK of Anthropic: python anthropic_sdk.py PROXY UPSTREAM"""

import re
import sys

import anthropic
from tally import check, end, equal, raises

PROXY, UPSTREAM = sys.argv[1:]
# A fixed window of twelve days, with several pages of rows.
WINDOW = {"starting_at": "2026-09-01T00:00:00Z", "ending_at": "2026-09-13T00:00:00Z", "time_bucket_width": "1d"}
NAMES = {"assistant-prod", "assistant-dev", "old crawler"}
MEMBER = re.compile(rb'\s*,\s*"(?:api_key|workspace)_name"\s*:\s*(?:null|"(?:[^"\\]|\\.)*")')


def client(base=PROXY, key="sk-ant-admin-of-a-client"):
    return anthropic.Anthropic(base_url=base, api_key=key, max_retries=0, timeout=30)


def report(kind, base=PROXY, key="sk-ant-admin-of-a-client"):
    return getattr(client(base, key).beta.organization.analytics, kind)


def groups(kind, **query):
    """The groups of all rows. The SDK follows the pages."""
    pages = list(report(kind).list(**WINDOW, limit=5, **query).iter_pages())
    if len(pages) < 2:
        raise AssertionError("the test needs several pages")
    return [row.to_dict()["group"] for page in pages for row in page.data], len(pages)


def grouped_by_name(kind):
    found, count = groups(kind, group_by=["api_key_name"])
    names = {group["api_key_id"]: group["api_key_name"] for group in found}
    equal(names.pop(None), None, "the name of no key:")
    equal(set(names.values()), NAMES, "names")
    return f"{len(found)} rows on {count} pages, {len(names)} names"


def grouped_by_workspace(kind):
    found, _ = groups(kind, group_by=["api_key_name", "workspace_name"])
    named = {group["api_key_name"]: group.get("workspace_name") for group in found}
    equal(named, {"assistant-prod": "Support", "assistant-dev": None, "old crawler": "Crawling", None: None}, "names")


def actors():
    """The name is an attribute of the SDK's models, also in a nested object."""
    page = report("usage").list(**WINDOW, group_by=["api_key_name", "actor"])
    named = {(row.group.api_key_name, getattr(row.group.actor, "api_key_name", None)) for row in page.data}
    equal(named, {(name, name) for name in NAMES} | {(None, None)}, "names of key and actor")


def filtered(kind):
    query = {"group_by": ["api_key_name"], "extra_query": {"api_key_names": ["assistant-prod"]}}
    found, _ = groups(kind, **query)
    equal({group["api_key_name"] for group in found}, {"assistant-prod"}, "names")
    # An empty id selects the use without a key.
    found, _ = groups(kind, api_key_ids=[""], **query)
    equal({group["api_key_name"] for group in found}, {"assistant-prod", None}, "names beside an empty id:")


def digits_stay(kind):
    raw = lambda base, groups: report(kind, base).with_raw_response.list(**WINDOW, group_by=groups).read()
    direct = raw(UPSTREAM, ["api_key_id", "workspace_id"])
    through = raw(PROXY, ["api_key_name", "workspace_name"])
    equal(len(MEMBER.findall(direct)), 0, "names that the upstream gave:")
    equal(MEMBER.sub(b"", through) == direct, True, "without the insertions, the bytes of the upstream:")
    return f"{len(direct)} bytes, {len(MEMBER.findall(through))} members inserted"


def unsupported_query():
    """The sixth dimension is an error of the API. A header of its response has the text that the API received."""
    groups = ["api_key_name", "model", "speed", "product", "agent_id", "session_id"]
    try:
        report("cost").list(**WINDOW, group_by=groups)
    except anthropic.BadRequestError as error:
        equal(error.response.headers["api-key-name-sent"], "group_by=api_key_id", "header")
        return error.body["error"]["message"]
    raise AssertionError("BadRequestError was not raised")


def unknown_name():
    return report("cost").list(**WINDOW, extra_query={"api_key_names": ["nobody"]})


for kind in ["usage", "cost"]:
    check(f"analytics/{kind} grouped by api_key_name, every page followed", lambda: grouped_by_name(kind))
    check(f"analytics/{kind} grouped by api_key_name and workspace_name", lambda: grouped_by_workspace(kind))
    check(f"analytics/{kind} filtered by name, with an empty id", lambda: filtered(kind))
    check(f"every digit of analytics/{kind} is the upstream's", lambda: digits_stay(kind))
check("the key of an actor has its name", actors)
check("six dimensions raise the SDK's own exception", unsupported_query)
check("an unknown name raises the SDK's own exception", lambda: raises(anthropic.BadRequestError, 400, unknown_name))
check(
    "a wrong key raises the SDK's own exception",
    lambda: raises(anthropic.AuthenticationError, 401, lambda: report("usage", key="sk-bad").list(**WINDOW)),
)
end()
