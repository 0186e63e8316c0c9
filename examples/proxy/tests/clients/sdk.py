"""The published Python SDK: python sdk.py PROXY UPSTREAM"""

import asyncio
import contextlib
import io
import re
import sys
from pathlib import Path

import openai
from tally import check, end, equal, raises

PROXY, UPSTREAM = sys.argv[1:]
README = Path(__file__).resolve().parents[2] / "README.md"
# A fixed window of twelve days, which has at least two pages.
WINDOW = {"start_time": 1_788_220_800, "end_time": 1_789_257_600, "bucket_width": "1d"}
WITH_KEYS = [
    "audio_speeches",
    "audio_transcriptions",
    "completions",
    "embeddings",
    "file_search_calls",
    "images",
    "moderations",
    "web_search_calls",
]
WITHOUT_KEYS = ["code_interpreter_sessions", "vector_stores"]
MEMBER = re.compile(rb'\s*,\s*"api_key_name"\s*:\s*(?:null|"(?:[^"\\]|\\.)*")')


def client(base=PROXY, key="sk-admin-of-a-client", **more):
    return openai.OpenAI(base_url=f"{base}/v1", admin_api_key=key, max_retries=0, timeout=30, **more)


usage = client().admin.organization.usage
projects = client().admin.organization.projects


def pages(call, **query):
    """Yields all pages. The SDK returns one page with the cursor of the next."""
    page = call(**query)
    while True:
        yield page
        if not page.has_more:
            return
        page = call(**query, page=page.next_page)


def rows(call, **query):
    found = list(pages(call, **query))
    if len(found) < 2:
        raise AssertionError("the test needs several pages")
    return [row for page in found for bucket in page.data for row in bucket.results], len(found)


def grouped_by_name(call):
    found, count = rows(call, **WINDOW, limit=5, group_by=["api_key_name"])
    names = {}
    for row in found:
        # The SDK's models have the name as an attribute.
        name = names.setdefault(row.api_key_id, row.api_key_name)
        equal(row.api_key_name, name, f"a second name of {row.api_key_id}:")
    # Keys with a name, a deleted key, and usage without a key.
    equal(names.pop(None), None, "the name of no key:")
    equal({type(name) for name in names.values()}, {str}, "the types of names:")
    known = set(names.values()) - {"unknown"}
    equal(bool(known) and "unknown" in names.values(), True, f"known and unknown keys in {names}:")
    return f"{len(found)} rows on {count} pages, {len(known)} names"


def costs_by_name_and_line_item():
    found, _ = rows(usage.costs, **WINDOW, limit=5, group_by=["api_key_name", "line_item"])
    equal(all(row.line_item for row in found), True, "every row has its line item:")
    equal({type(row.amount.value) for row in found} <= {float, str}, True, "amounts are read as before:")


def grouped_by_project():
    listed = {project.id: project.name for project in projects.list(limit=2, include_archived=True)}
    found, _ = rows(usage.costs, **WINDOW, limit=5, group_by=["api_key_name", "project_name"])
    equal({row.project_id: row.project_name for row in found}, listed, "names of projects")
    filtered, _ = rows(usage.costs, **WINDOW, limit=5, group_by=["project_name"], extra_query={"project_names": ["Search"]})
    equal({row.project_name for row in filtered}, {"Search"}, "one project:")
    return f"{len(listed)} names"


def names_agree_with_the_lists():
    listed = {key.id: key.name for project in projects.list(limit=2) for key in projects.api_keys.list(project.id, limit=2)}
    found, _ = rows(usage.completions, **WINDOW, limit=5, group_by=["api_key_name"])
    named = {row.api_key_id: row.api_key_name for row in found if row.api_key_name not in (None, "unknown")}
    both = named.keys() & listed.keys()
    equal({key: named[key] for key in both}, {key: listed[key] for key in both}, "names")
    if not both:
        raise AssertionError(f"no listed key was used: {listed.keys()}, {named.keys()}")
    return f"{len(listed)} keys listed, {len(both)} of them used"


def ungrouped():
    names = {getattr(row, "api_key_name", None) for row in rows(usage.completions, **WINDOW, limit=5)[0]}
    equal(names, {None}, "names of rows of no key:")


def filtered_by(names, **more):
    found, _ = rows(usage.costs, **WINDOW, limit=5, group_by=["api_key_name"], extra_query={"api_key_names": names}, **more)
    return {row.api_key_name for row in found}


def filtered_by_name():
    equal(filtered_by(["Ana's laptop"]), {"Ana's laptop"}, "one name:")
    both = {'nightly "re-embed" job', "notebooks – Zürich"}
    equal(filtered_by(list(both)), both, "two names:")
    # Together with ids in the SDK's own parameter.
    more = {row.api_key_id for row in rows(usage.costs, **WINDOW, limit=5, group_by=["api_key_name"])[0] if row.api_key_name == "fine-tuning"}
    equal(filtered_by(["storefront-prod"], api_key_ids=list(more)), {"storefront-prod", "fine-tuning"}, "a name and an id:")


def without_keys(call):
    for row in rows(call, **WINDOW, limit=5, group_by=["project_id"])[0]:
        equal(hasattr(row, "api_key_name"), False, "a name where there is no id:")


def the_async_client():
    async def first_page():
        async with openai.AsyncOpenAI(base_url=f"{PROXY}/v1", admin_api_key="sk-admin-of-a-client", max_retries=0) as asynchronous:
            page = await asynchronous.admin.organization.usage.costs(**WINDOW, group_by=["api_key_name"])
            return {row.api_key_name for bucket in page.data for row in bucket.results}

    equal(bool(asyncio.run(first_page()) - {None, "unknown"}), True, "a key was named:")


def readme_examples():
    """Runs the README's Python examples in order, with the port of this run."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    printed, scope = io.StringIO(), {"ADMIN_KEY": "sk-admin-of-a-client"}
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(block.replace("http://127.0.0.1:18080", PROXY), scope)
    filtered = {row.api_key_name for bucket in scope["page"].data for row in bucket.results}
    equal(filtered, {"storefront-prod"}, "names, filtered by one,")
    lines = printed.getvalue().splitlines()
    equal(any("storefront-prod" in line for line in lines), True, f"a key's name in {lines[:3]}:")
    return lines[1]


def raw(base, path_call, headers=None, **query):
    organization = client(base, default_headers=headers).admin.organization.usage.with_raw_response
    return getattr(organization, path_call)(**query)


def digits_stay(call):
    direct = raw(UPSTREAM, call, **WINDOW, group_by=["api_key_id"]).content
    through = raw(PROXY, call, **WINDOW, group_by=["api_key_name"]).content
    equal(len(MEMBER.findall(direct)), 0, "names that upstream gave:")
    inserted = len(MEMBER.findall(through))
    equal(inserted, direct.count(b'"api_key_id"'), "inserted members:")
    equal(MEMBER.sub(b"", through) == direct, True, "without the insertions, the bytes of the upstream:")
    return f"{len(direct)} bytes, {inserted} members inserted"


def encoded(coding):
    response = raw(PROXY, "costs", {"accept-encoding": coding}, **WINDOW, group_by=["api_key_name"])
    equal(response.headers.get("content-encoding"), coding, "content-encoding")
    names = {row.api_key_name for bucket in response.parse().data for row in bucket.results}
    equal(bool(names - {None, "unknown"}), True, "a key was named:")


check("the README's examples run unchanged", readme_examples)
check("costs grouped by api_key_name, every page followed", lambda: grouped_by_name(usage.costs))
for kind in WITH_KEYS:
    check(f"usage/{kind} grouped by api_key_name, every page followed", lambda: grouped_by_name(getattr(usage, kind)))
for kind in WITHOUT_KEYS:
    check(f"usage/{kind} has no keys, and receives no names", lambda: without_keys(getattr(usage, kind)))
check("costs grouped by api_key_name and project_name", grouped_by_project)
check("costs grouped by api_key_name and line_item", costs_by_name_and_line_item)
check("not grouped, a row has no name to show", ungrouped)
check("filtered by name, every page followed", filtered_by_name)
check(
    "a name that no key has raises the SDK's own exception",
    lambda: raises(openai.BadRequestError, 400, lambda: filtered_by(["nobody"])),
)
check(
    "an empty list of names in the SDK's form is no filter",
    lambda: equal("storefront-prod" in filtered_by([]), True, "all keys:"),
)
check("keys of every project listed, page by page; the names are the same", names_agree_with_the_lists)
check("the async client", the_async_client)
for kind in ["costs", "completions"]:
    check(f"every digit of {kind} is upstream's", lambda: digits_stay(kind))
for coding in ["gzip", "br"]:
    check(f"a client that takes {coding}", lambda: encoded(coding))
check(
    "a wrong key raises the SDK's own exception",
    lambda: raises(openai.AuthenticationError, 401, lambda: client(key="sk-bad").admin.organization.usage.costs(**WINDOW)),
)
check(
    "a missing start_time raises the SDK's own exception",
    lambda: raises(openai.BadRequestError, 400, lambda: usage.costs(start_time=openai.omit)),
)
check(
    "the API itself rejects group_by=api_key_name",
    lambda: raises(
        openai.BadRequestError,
        400,
        lambda: client(UPSTREAM).admin.organization.usage.costs(**WINDOW, group_by=["api_key_name"]),
    ),
)
check(
    "a path out of scope raises the SDK's own exception",
    lambda: raises(openai.NotFoundError, 404, lambda: client(api_key="sk-demo").models.list()),
)
end()
