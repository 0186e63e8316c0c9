"""curl with the query forms of many clients: python3 curl.py PROXY UPSTREAM"""

import json
import subprocess
import sys

from tally import check, end, equal

PROXY, UPSTREAM = sys.argv[1:]
COSTS = "/v1/organization/costs?start_time=1788220800&end_time=1789257600&limit=5"
KEY = ["-H", "Authorization: Bearer sk-admin-of-a-client"]

# The forms in which clients send a list, with `{}` for `api_key_name`.
FORMS = [
    ("the official SDKs", "group_by%5B%5D={}&group_by%5B%5D=line_item"),
    ("requests, httpx", "group_by={}&group_by=line_item"),
    ("URLSearchParams", "group_by={}%2Cline_item"),
    ("raw brackets", "group_by[]={}&group_by[]=line_item"),
    ("lower-case hex", "group_by=line_item%2c{}"),
    ("axios, PHP", "group_by%5B0%5D=line_item&group_by%5B1%5D={}"),
    ("raw indexes", "group_by[0]={}&group_by[1]=line_item"),
    ("exporters", "group_by=project_id,{},line_item"),
    ("alone", "group_by={}"),
]
# The same for the filter, with `{}` for two percent-encoded names.
FILTERS = [
    ("the official SDKs", "api_key_names%5B%5D={}&api_key_names%5B%5D={}"),
    ("requests, httpx", "api_key_names={}&api_key_names={}"),
    ("URLSearchParams", "api_key_names={}%2C{}"),
    ("raw brackets", "api_key_names[]={}&api_key_names[]={}"),
    ("axios, PHP", "api_key_names%5B0%5D={}&api_key_names%5B1%5D={}"),
    ("exporters", "api_key_names={},{}"),
    ("a name and an id", "api_key_names[]={}&api_key_ids[]=key_Yh7pBs1MeKu9&y={}"),
]
SPELT = ["api_key_name", "api%5Fkey%5fname", "%61pi_key_name"]
# Name and id in one query.
TWICE = [
    "group_by=api_key_id,api_key_name",
    "group_by=api_key_name,api_key_id",
    "group_by[]=api_key_id&group_by[]=api_key_name",
    "group_by%5B%5D=api_key_name&group_by%5B%5D=line_item&group_by%5B%5D=api_key_id",
]


def curl(*options, url):
    """Returns version and status, headers (names in lower case) and body. `-g` disables globbing of brackets."""
    command = ["curl", "-sS", "-g", "--max-time", "30", "-D", "/dev/stderr", *options, url]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise AssertionError(f"curl ended with {done.returncode}: {done.stderr.decode()}")
    lines = done.stderr.decode().strip().splitlines()
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return lines[0].split()[:2], {name.lower(): value for name, value in headers.items()}, done.stdout


def request(*options, url, status="200"):
    (_, got), headers, body = curl(*KEY, *options, url=url)
    equal(got, status, f"status, with {body[:300]},")
    return headers, body


def rows(body):
    return [row for bucket in json.loads(body)["data"] for row in bucket["results"]]


def named(body):
    found = rows(body)
    names = {row["api_key_name"] for row in found} - {"unknown", None}
    equal(bool(names), True, f"a key was named in {body[:200]}:")
    return f"{len(found)} rows, {len(names)} names"


def form(query):
    return lambda: named(request(url=f"{PROXY}{COSTS}&{query}")[1])


def same_rows(query):
    """The ids are those of the upstream's response to a query by id."""
    through = rows(request(url=f"{PROXY}{COSTS}&{query.format('api_key_name')}")[1])
    direct = rows(request(url=f"{UPSTREAM}{COSTS}&{query.format('api_key_id')}")[1])
    equal([row["api_key_id"] for row in through], [row["api_key_id"] for row in direct], "ids")


def filtered(query):
    encoded = query.format("Ana%27s+laptop", "notebooks%20%E2%80%93%20Z%c3%bcrich")
    found = rows(request(url=f"{PROXY}{COSTS}&group_by=api_key_name&{encoded}")[1])
    equal({row["api_key_name"] for row in found}, {"Ana's laptop", "notebooks – Zürich"}, "names")


def filter_urlencode():
    fields = ["start_time=1788220800", "group_by=api_key_name", "api_key_names[]=notebooks – Zürich"]
    options = [part for one in fields for part in ("--data-urlencode", one)]
    found = rows(request("-G", *options, url=f"{PROXY}/v1/organization/costs")[1])
    equal({row["api_key_name"] for row in found}, {"notebooks – Zürich"}, "names")


def refused(query, code):
    def run():
        body = request(url=f"{PROXY}{COSTS}&{query}", status="400")[1]
        error = json.loads(body)["error"]
        equal(sorted(error), ["code", "message", "param", "type"], "the error's members")
        equal((error["param"], error["code"]), ("api_key_names", code), "param and code")
        equal("storefront-prod" in error["message"], False, "a name that was not the one in question:")
        return error["message"]

    return run


def data_urlencode():
    fields = ["start_time=1788220800", "limit=5", "group_by=line_item,api_key_name"]
    options = [part for one in fields for part in ("--data-urlencode", one)]
    return named(request("-G", *options, url=f"{PROXY}/v1/organization/costs")[1])


def pages():
    url, seen = f"{PROXY}{COSTS}&group_by[]=api_key_name", 0
    page = {"has_more": True, "next_page": None}
    while page["has_more"]:
        token = (page["next_page"] or "").replace("=", "%3D")
        body = request(url=url + (f"&page={token}" if token else ""))[1]
        named(body)
        page, seen = json.loads(body), seen + 1
    equal(seen > 1, True, "more pages than one:")
    return f"{seen} pages"


def other_parameters():
    # `api_key_name` in the value of another parameter does not change.
    body = request(url=f"{PROXY}{COSTS}&group_by=api_key_name&note=group_by%3Dapi_key_name+a%20b")[1]
    return named(body)


def head():
    headers, body = request("-I", url=f"{PROXY}{COSTS}&group_by=api_key_name")
    equal(headers.get("content-type", "").split(";")[0], "application/json", "content-type")
    # The length of the body with names is not known.
    equal("content-length" in headers, False, "a Content-Length:")
    equal("etag" in headers, False, "an ETag:")


def length():
    headers, body = request(url=f"{PROXY}{COSTS}&group_by=api_key_name")
    equal(int(headers["content-length"]), len(body), "content-length")
    equal("transfer-encoding" in headers, False, "a Transfer-Encoding:")


def openai_error(url, status, *options):
    def run():
        body = request(*options, url=url, status=status)[1]
        error = json.loads(body)["error"]
        equal(sorted(error), ["code", "message", "param", "type"], "the error's members")
        return error["message"]

    return run


def error_unchanged():
    bad = ["-H", "Authorization: Bearer sk-bad"]
    (_, status), through, body = curl(*bad, url=f"{PROXY}{COSTS}")
    (_, direct_status), direct, direct_body = curl(*bad, url=f"{UPSTREAM}{COSTS}")
    equal((status, body), (direct_status, direct_body), "status and body")
    equal(through.get("content-type"), direct.get("content-type"), "content-type")


def health():
    body = json.loads(request(url=f"{PROXY}/health")[1])
    equal(body["status"], "ok", "status")
    equal(body["entries"] > 0 and body["generation"] > 0, True, f"entries and generation in {body}:")
    return json.dumps(body)


def compressed(*options, coding):
    def run():
        headers, body = request("--compressed", *options, url=f"{PROXY}{COSTS}&group_by=api_key_name")
        equal(headers.get("content-encoding"), coding, "content-encoding")
        equal("accept-encoding" in headers.get("vary", "").lower(), True, f"Vary: {headers.get('vary')}:")
        return named(body)

    return run


def plain():
    headers, body = request(url=f"{PROXY}{COSTS}&group_by=api_key_name")
    equal("content-encoding" in headers, False, "a Content-Encoding:")
    return named(body)


def http2(*options):
    def run():
        (version, status), _, body = curl(
            *KEY, "--http2-prior-knowledge", *options, url=f"{PROXY}{COSTS}&group_by=api_key_name"
        )
        equal((version, status), ("HTTP/2", "200"), "status line")
        return named(body)

    return run


def http10():
    body = request("--http1.0", url=f"{PROXY}{COSTS}&group_by=api_key_name")[1]
    return named(body)


for client, query in FORMS:
    check(f"{query.format('api_key_name')} ({client})", form(query.format("api_key_name")))
    check(f"{query.format('api_key_name')} gives the rows of the ids", lambda: same_rows(query))
for spelt in SPELT[1:]:
    check(f"group_by={spelt}", form(f"group_by={spelt}"))
check("group%5Fby=api_key_name", form("group%5Fby=api_key_name"))
for query in TWICE:
    check(query, form(query))
check("-G --data-urlencode group_by=line_item,api_key_name", data_urlencode)
for client, query in FILTERS:
    check(f"filtered by {query} ({client})", lambda: filtered(query))
check("-G --data-urlencode 'api_key_names[]=notebooks – Zürich'", filter_urlencode)
for query, code in [
    ("api_key_names[]=storefront-pro", "unknown_api_key_name"),
    ("api_key_names=storefront-prod,nobody", "unknown_api_key_name"),
    ("api_key_names=", "empty_api_key_name"),
    ("api_key_names[name]=storefront-prod", "invalid_parameter"),
]:
    check(f"{query} is a 400 in OpenAI's form", refused(query, code))
check("every page followed, its token sent back as %3D", pages)
check("the text in another parameter's value", other_parameters)
check(
    "the API itself rejects group_by=api_key_name",
    openai_error(f"{UPSTREAM}{COSTS}&group_by=api_key_name", "400"),
)
check("HEAD", head)
check("Content-Length is exact", length)
check("an error is the upstream's, byte for byte", error_unchanged)
check("health", health)
for path in [
    "/",
    "/v1/chat/completions",
    "/v1/organization/../models",
    "/v1/organization/%2e%2e/models",
    "/v1/organization/%2E./models",
    "/v1/organization/costs/..%2f..%2fmodels",
]:
    check(f"{path} is a 404 in OpenAI's form", openai_error(f"{PROXY}{path}", "404", "--path-as-is"))
check("gzip", compressed("-H", "Accept-Encoding: gzip", coding="gzip"))
check("brotli", compressed("-H", "Accept-Encoding: br", coding="br"))
check("curl --compressed", lambda: named(request("--compressed", url=f"{PROXY}{COSTS}&group_by=api_key_name")[1]))
check("without Accept-Encoding the response is not compressed", plain)
check("HTTP/2 with prior knowledge", http2())
check("HTTP/2 with brotli", http2("--compressed", "-H", "Accept-Encoding: br"))
check("HTTP/1.0", http10)
end()
