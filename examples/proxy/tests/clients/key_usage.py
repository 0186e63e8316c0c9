"""The usage of proxy keys, read back with the SDK's own methods and compared with what the calls reported."""

import json
import time
from decimal import Decimal

import anthropic
import openai
from tally import check, equal

HI = [{"role": "user", "content": "Hi"}]
# Dollars for one million tokens, as in the keys file.
PRICES = {
    "gpt-5-mini*": {"input": "0.000003", "output": "2.000001"},
    "claude-*": {"input": "15", "output": "75.000001"},
}


def usage_checks(url, key, neighbour_key):
    """Calls with the key `reader`, beside one call with the key `neighbour`, and reads the usage of `reader`."""
    reported = Reported()
    calls(url, key, reported)
    calls(url, neighbour_key, Reported())
    reader = Reader(url, key)
    check("usage: tokens by name are those of the calls", lambda: tokens_by_name(reader, reported))
    check("usage: all pages of one bucket are the whole usage", lambda: pages_of_one_bucket(reader, reported))
    check("usage: grouped by model, with names", lambda: by_model(reader, reported))
    check("usage: costs by name are exact", lambda: exact_costs(reader, reported))
    check("usage: a filter by the own name", lambda: own_name(reader, reported))
    check("usage: the name of another customer has the error of an absent name", lambda: other_name(reader))
    check("usage: the id of another customer selects nothing", lambda: other_id(reader))
    check("usage: a credential without a key is raised as a 401", lambda: no_key(url))


class Reported:
    """The tokens that the calls reported, by model."""

    def __init__(self):
        self.by_model = {}

    def add(self, model, input_tokens, output_tokens):
        requests, inputs, outputs = self.by_model.get(model, (0, 0, 0))
        self.by_model[model] = (requests + 1, inputs + input_tokens, outputs + output_tokens)

    def total(self):
        return tuple(map(sum, zip(*self.by_model.values())))

    def cost(self):
        cost = Decimal(0)
        for model, (_, inputs, outputs) in self.by_model.items():
            [price] = [price for pattern, price in PRICES.items() if model.startswith(pattern[:-1])]
            cost += (inputs * Decimal(price["input"]) + outputs * Decimal(price["output"])) / 1_000_000
        return cost


def calls(url, key, reported):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30)
    chat = client.chat.completions.create(model="gpt-5-mini", messages=HI)
    reported.add("gpt-5-mini", chat.usage.prompt_tokens, chat.usage.completion_tokens)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    usage = list(client.chat.completions.create(model="gpt-5-mini", messages=HI, **options))[-1].usage
    reported.add("gpt-5-mini", usage.prompt_tokens, usage.completion_tokens)
    response = client.responses.create(model="gpt-5-mini", input="Hi")
    reported.add("gpt-5-mini", response.usage.input_tokens, response.usage.output_tokens)
    claude = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=30)
    message = claude.messages.create(model="claude-opus-4-1", max_tokens=9, messages=HI)
    reported.add("claude-opus-4-1", message.usage.input_tokens, message.usage.output_tokens)


class Reader:
    """The SDK's client of the organization API, with a proxy key in place of an admin key."""

    def __init__(self, url, key):
        client = openai.OpenAI(base_url=f"{url}/v1", admin_api_key=key, max_retries=0, timeout=30)
        self.usage = client.admin.organization.usage
        # The range from here has at least three buckets of an hour.
        self.start = int(time.time()) - 7200

    def completions(self, **query):
        """Returns the rows of all pages, and their number."""
        rows, count, more = [], 0, {}
        while True:
            page = self.usage.completions(start_time=self.start, group_by=["api_key_name"], **(query | more))
            rows += [row for bucket in page.data for row in bucket.results]
            count += 1
            if not page.has_more:
                return rows, count
            more = {"page": page.next_page}


def tokens(rows):
    return tuple(sum(getattr(row, name) for row in rows) for name in ("num_model_requests", "input_tokens", "output_tokens"))


def names(rows):
    return {(row.api_key_id, row.api_key_name) for row in rows}


def tokens_by_name(reader, reported):
    rows, _ = reader.completions()
    equal(names(rows), {("reader", "name of reader")}, "ids and names")
    equal(tokens(rows), reported.total(), "requests, input and output tokens")
    return f"{tokens(rows)}"


def pages_of_one_bucket(reader, reported):
    rows, count = reader.completions(bucket_width="1h", limit=1)
    equal((tokens(rows), names(rows)), (reported.total(), {("reader", "name of reader")}), "tokens and names")
    equal(count >= 3, True, "several pages")
    return f"{count} pages"


def by_model(reader, reported):
    page = reader.usage.completions(start_time=reader.start, group_by=["api_key_name", "model"])
    rows = [row for bucket in page.data for row in bucket.results]
    equal({row.api_key_name for row in rows}, {"name of reader"}, "names")
    found = {}
    for model in {row.model for row in rows}:
        found[model] = tokens([row for row in rows if row.model == model])
    equal(found, reported.by_model, "tokens by model")


def exact_costs(reader, reported):
    raw = reader.usage.with_raw_response.costs(start_time=reader.start, group_by=["api_key_name"])
    equal({row.api_key_name for bucket in raw.parse().data for row in bucket.results}, {"name of reader"}, "names")
    page = json.loads(raw.content, parse_float=Decimal)
    cost = sum(Decimal(row["amount"]["value"]) for bucket in page["data"] for row in bucket["results"])
    equal(cost, reported.cost(), "dollars")
    return f"{cost} dollars"


def own_name(reader, reported):
    rows, _ = reader.completions(extra_query={"api_key_names": ["name of reader"]})
    equal(tokens(rows), reported.total(), "tokens")


def other_name(reader):
    messages = []
    for name in ("name of neighbour", "name of nobody"):
        try:
            reader.completions(extra_query={"api_key_names": [name]})
        except openai.BadRequestError as error:
            messages.append(error.message.replace(name, "NAME"))
    equal(len(messages), 2, "errors")
    equal(messages[0], messages[1], "message")
    return messages[0]


def other_id(reader):
    rows, _ = reader.completions(api_key_ids=["neighbour"])
    equal(rows, [], "rows")


def no_key(url):
    try:
        Reader(url, "sk-other").completions()
    except openai.AuthenticationError as error:
        return error.message
    raise AssertionError("no exception was raised")
