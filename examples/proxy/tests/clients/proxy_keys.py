#!/usr/bin/env python3
"""Runs the published SDKs with proxy keys: target/clients/python/bin/python proxy_keys.py PROGRAM

`run.py` installs the SDKs. The program is started in front of an API that behaves like both providers.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

# No files are written into the source tree.
sys.dont_write_bytecode = True

import anthropic
import openai
from key_usage import PRICES, usage_checks
from model_api import REAL_KEY, ModelApi
from proxy import TARGET, Proxy, environment
from tally import check, end, equal

HERE = pathlib.Path(__file__).parent
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
HI = [{"role": "user", "content": "Hi"}]


def main():
    with tempfile.TemporaryDirectory() as folder, ModelApi() as api:
        file = pathlib.Path(folder) / "keys.json"
        # A call has 12 tokens, so the second one reaches the limit.
        keys = {
            "app": mint(file, "app", "--unlimited", "--model", "gpt-5-mini", "--model", "claude-*"),
            "small": mint(file, "small", "--limit", "tokens/ever=20"),
            "small_of_node": mint(file, "small_of_node", "--limit", "tokens/ever=20"),
            "small_of_anthropic": mint(file, "small_of_anthropic", "--limit", "tokens/ever=20"),
            "serial": mint(file, "serial", "--limit", "parallel=1"),
            "revoked": mint(file, "revoked", "--unlimited"),
            "reader": mint(file, "reader", "--unlimited"),
            "neighbour": mint(file, "neighbour", "--unlimited"),
            "reader_of_node": mint(file, "reader_of_node", "--unlimited"),
        }
        file.write_text(json.dumps(json.loads(file.read_text()) | {"prices": PRICES}))
        bases = ["--openai-base-url", api.url, "--anthropic-base-url", api.url]
        files = ["--keys", file, "--ledger", file.with_suffix(".sqlite"), "--drain-timeout", "0.2"]
        real_keys = {"OPENAI_API_KEY": REAL_KEY, "ANTHROPIC_API_KEY": REAL_KEY}
        with Proxy([PROGRAM, "--port", "0", *bases, *files], variables=real_keys) as proxy:
            run_checks(proxy.url, keys, file)
            usage_checks(proxy.url, keys["reader"], keys["neighbour"])
            run_node(proxy.url, keys)
        check("SIGTERM ends the service with exit code 0", lambda: equal(proxy.exit_code, 0))
        check("the provider received the real key only", lambda: equal(api.credentials(), {REAL_KEY}))
        check("no key is printed", lambda: equal([key for key in keys.values() if key in proxy.output()], []))
    end()


def mint(file, id, *flags):
    command = [PROGRAM, "keys", "new", file, "--name", f"name of {id}", "--id", id, *flags]
    printed = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, env=environment())
    return printed.stdout.strip()


def run_checks(url, keys, file):
    for name, kind in [("openai", OpenAi(url, keys)), ("anthropic", Anthropic(url, keys))]:
        check(f"{name}: a plain call has its usage", kind.plain)
        check(f"{name}: a streamed call has its text", kind.streamed)
        check(f"{name}: a used-up limit is raised at once", kind.used_up)
        check(f"{name}: a call beyond the parallel limit is repeated", kind.busy)
        check(f"{name}: another credential is raised as a 401", lambda: kind.rejected("sk-other"))
    check("openai: a stream without the option contains no usage", lambda: without_usage(url, keys["app"]))
    check("openai: a stream with the option contains the usage", lambda: with_usage(url, keys["app"]))
    check("openai: responses, plain and streamed", lambda: responses(url, keys["app"]))
    check("openai: the list of models is that of the key", lambda: models(url, keys["app"]))
    check("openai: a revoked key is raised as a 401", lambda: revoked(url, keys["revoked"], file))


class Statuses(list):
    """The statuses of all responses to a client. `on_refusal` is called at each 429."""

    def __init__(self, on_refusal=lambda: None):
        super().__init__()
        self.on_refusal = on_refusal

    def hooks(self):
        return {"response": [self.add]}

    def add(self, response):
        self.append(response.status_code)
        if response.status_code == 429:
            self.on_refusal()


class OpenAi:
    def __init__(self, url, keys):
        self.url, self.keys, self.small = url, keys, keys["small"]

    def client(self, key, statuses=None):
        http_client = openai.DefaultHttpxClient(event_hooks=statuses.hooks()) if statuses is not None else None
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, http_client=http_client, max_retries=5, timeout=30)

    def call(self, client, model="gpt-5-mini", stream=False):
        return client.chat.completions.create(model=model, messages=HI, stream=stream)

    def plain(self):
        response = self.call(self.client(self.keys["app"]))
        equal((response.choices[0].message.content, response.usage.total_tokens), ("Hello.", 12))

    def streamed(self):
        chunks = list(self.call(self.client(self.keys["app"]), stream=True))
        equal("".join(chunk.choices[0].delta.content for chunk in chunks), "Hello.")

    def used_up(self):
        """The third call is refused. The SDK does not send it again, although it may send it five times."""
        statuses = Statuses()
        client = self.client(self.small, statuses)
        self.call(client)
        self.call(client)
        try:
            self.call(client)
        except self.rate_limit_error() as error:
            equal(statuses, [200, 200, 429], "statuses")
            return self.text_of_refusal(error)
        raise AssertionError("no exception was raised")

    def rate_limit_error(self):
        return openai.RateLimitError

    def text_of_refusal(self, error):
        equal(error.code, "insufficient_quota", "code")
        return error.message

    def busy(self):
        """The first call is open when the second one is refused. It is closed then, and the SDK repeats the second one."""
        first = self.call(self.client(self.keys["serial"]), model="endless", stream=True)
        next(iter(first))
        statuses = Statuses(on_refusal=first.close)
        self.call(self.client(self.keys["serial"], statuses))
        equal((statuses[0], statuses[-1]), (429, 200), "first and last status")
        return f"statuses {statuses}"

    def rejected(self, key):
        statuses = Statuses()
        try:
            self.call(self.client(key, statuses))
        except self.authentication_error() as error:
            equal(statuses, [401], "statuses")
            return error.message
        raise AssertionError("no exception was raised")

    def authentication_error(self):
        return openai.AuthenticationError


class Anthropic(OpenAi):
    def __init__(self, url, keys):
        super().__init__(url, keys)
        self.small = keys["small_of_anthropic"]

    def client(self, key, statuses=None):
        http_client = anthropic.DefaultHttpxClient(event_hooks=statuses.hooks()) if statuses is not None else None
        return anthropic.Anthropic(base_url=self.url, api_key=key, http_client=http_client, max_retries=5, timeout=30)

    def call(self, client, model="claude-opus-4-1", stream=False):
        return client.messages.create(model=model, max_tokens=9, messages=HI, stream=stream)

    def plain(self):
        message = self.call(self.client(self.keys["app"]))
        equal((message.content[0].text, message.usage.output_tokens), ("Hello.", 5))

    def streamed(self):
        client = self.client(self.keys["app"])
        with client.messages.stream(model="claude-opus-4-1", max_tokens=9, messages=HI) as stream:
            message = stream.get_final_message()
        equal((message.content[0].text, message.usage.output_tokens), ("Hello.", 5))

    def rate_limit_error(self):
        return anthropic.RateLimitError

    def text_of_refusal(self, error):
        equal(error.body["error"]["type"], "rate_limit_error", "type")
        return error.body["error"]["message"]

    def authentication_error(self):
        return anthropic.AuthenticationError


def openai_client(url, key):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30)


def chunks(url, key, **options):
    return list(openai_client(url, key).chat.completions.create(model="gpt-5-mini", messages=HI, stream=True, **options))


def without_usage(url, key):
    received = chunks(url, key)
    equal([(chunk.usage, len(chunk.choices)) for chunk in received], [(None, 1), (None, 1)], "usage and choices")


def with_usage(url, key):
    received = chunks(url, key, stream_options={"include_usage": True})
    equal((received[-1].usage.total_tokens, received[-1].choices), (12, []), "the last chunk")


def responses(url, key):
    client = openai_client(url, key)
    equal(client.responses.create(model="gpt-5-mini", input="Hi").output_text, "Hello.")
    events = list(client.responses.create(model="gpt-5-mini", input="Hi", stream=True))
    equal("".join(event.delta for event in events if event.type == "response.output_text.delta"), "Hello.")
    equal((events[-1].type, events[-1].response.usage.total_tokens), ("response.completed", 12), "the last event")


def models(url, key):
    equal([model.id for model in openai_client(url, key).models.list()], ["gpt-5-mini"])


def revoked(url, key, file):
    client = openai_client(url, key)
    call = lambda: client.chat.completions.create(model="gpt-5-mini", messages=HI)
    call()
    command = [PROGRAM, "keys", "revoke", "revoked", file]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=environment())
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            call()
        except openai.AuthenticationError as error:
            equal(error.code, "invalid_api_key", "code")
            return error.message
    raise AssertionError("the key is still accepted")


def run_node(url, keys):
    # The script is copied there, because node searches for packages in the folders above the importing file.
    folder = TARGET / "clients/node"
    shutil.copy(HERE / "proxy_keys.mjs", folder)
    arguments = [keys[name] for name in ("app", "small_of_node", "serial", "reader_of_node")]
    done = subprocess.run(
        ["node", "proxy_keys.mjs", url, *arguments], cwd=folder, capture_output=True, text=True, env=environment()
    )
    print(done.stdout, end="")
    check("node: the script ran to its end", lambda: equal((done.returncode, done.stderr), (0, "")))


if __name__ == "__main__":
    main()
