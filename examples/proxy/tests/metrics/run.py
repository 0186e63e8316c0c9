#!/usr/bin/env python3
"""Scrapes /metrics with Prometheus and checks its text with promtool: python3 run.py PROGRAM

The program runs twice: with names and the spend of the demo API, and with proxy keys. Requires Debian's `prometheus`.
"""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

# No files are written into the source tree.
sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))

import model_api
from proxy import Proxy, environment
from tally import check, end, equal

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
DASHBOARD = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "grafana.json"
DEADLINE = 60

CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: proxy
    static_configs: [{targets: [TARGETS]}]
"""


def main():
    for tool in ("prometheus", "promtool"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed")
    with tempfile.TemporaryDirectory() as name, model_api.ModelApi() as api:
        folder = pathlib.Path(name)
        with Proxy([PROGRAM, "--demo", "--port", "0"]) as demo, Proxy(*names(folder, demo)) as names_proxy:
            with Proxy(*keys(folder, api)) as keys_proxy:
                operator = keys_proxy.printed(r"operator listening on (http://\S+)")
                call(names_proxy, keys_proxy, mint(folder / "keys.json"))
                pages = {"names": names_proxy.url, "proxy keys": operator}
                for subject, url in pages.items():
                    check(f"promtool accepts the metrics of {subject}", lambda: lint(wait_for_metrics(subject, url)))
                check("promtool rejects a metric without help", lambda: equal(promtool("bad_metric 1\n")[0], 3))
                with Prometheus(folder, pages.values()) as prometheus:
                    check("Prometheus scrapes both", lambda: prometheus.wait_for("count(up == 1)", 2))
                    check("no sample is rejected", lambda: prometheus.wait_for(SAMPLES, 2))
                    check("each query of the dashboard is valid", lambda: queries(prometheus))
    end()


# All samples of a scrape are in the store.
SAMPLES = "count(scrape_samples_scraped > 20 and scrape_samples_scraped == scrape_samples_post_metric_relabeling)"


def names(folder, demo):
    """The command of a proxy with names, and its environment."""
    file = folder / "names.json"
    file.write_text(json.dumps({"key_a": "Alpha"}))
    command = [PROGRAM, "--port", "0", "--openai-base-url", demo.upstream(), "--names", file, "--spend-metrics"]
    return command, DEADLINE, {"OPENAI_ADMIN_KEY": "demo"}


def keys(folder, api):
    """The command of a proxy with proxy keys, and its environment."""
    mint(folder / "keys.json")
    files = ["--keys", folder / "keys.json", "--ledger", folder / "ledger.sqlite"]
    command = [PROGRAM, "--port", "0", "--operator-listen", "127.0.0.1:0", "--openai-base-url", api.url, *files]
    return command, DEADLINE, {"OPENAI_API_KEY": model_api.REAL_KEY}


def mint(file):
    command = [PROGRAM, "keys", "new", file, "--name", "app", "--unlimited"]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout.strip()


def call(names_proxy, keys_proxy, key):
    """Makes requests with each kind of outcome."""
    costs = f"{names_proxy.url}/v1/organization/costs?start_time=1790000000&group_by=api_key_name"
    status(costs)
    status(f"{costs}&api_key_names=nobody")
    status(f"{names_proxy.url}/v1/organizations/usage_report/messages", method="HEAD")
    body = json.dumps({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    for credential in (key, "sk-other"):
        headers = {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}
        status(f"{keys_proxy.url}/v1/chat/completions", body, headers)


def status(url, body=None, headers={}, method=None):
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            response.read()
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def wait_for_metrics(subject, url):
    """The text of the metrics. That of names is complete after the first run of the spend."""
    awaited = "api_key_name_spend_complete" if subject == "names" else "api_key_name_ledger_commits_total"
    until = time.monotonic() + DEADLINE
    while True:
        with urllib.request.urlopen(f"{url}/metrics", timeout=DEADLINE) as response:
            text = response.read().decode()
        if awaited in text:
            return text
        if time.monotonic() > until:
            raise AssertionError(f"there is no {awaited}")
        time.sleep(0.1)


def lint(text):
    equal(promtool(text), (0, ""))
    return f"{len([line for line in text.splitlines() if not line.startswith('#')])} series"


def promtool(text):
    """The exit code and standard error, which has the warnings."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    return done.returncode, done.stderr


def queries(prometheus):
    """Runs each query of the dashboard until most of them have a result. A rate has one after the second scrape."""
    expressions = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        expressions += [target["expr"] for target in panel.get("targets", [])]
    until = time.monotonic() + DEADLINE
    while True:
        empty = []
        for expression in expressions:
            text = expression.replace("$__rate_interval", "1m").replace('=~"$instance"', '=~".*"')
            if not prometheus.query(text):
                empty.append(expression)
        # Without --sync there are no listings, and no upstream has failed.
        unexpected = [expression for expression in empty if not re.search("listing|upstream_failures", expression)]
        if not unexpected:
            return f"{len(expressions) - len(empty)} of {len(expressions)} with a result"
        if time.monotonic() > until:
            raise AssertionError(f"without a result: {unexpected}")
        time.sleep(1)


class Prometheus:
    """`with Prometheus(folder, urls) as prometheus:` runs Prometheus, which scrapes these addresses each second."""

    def __init__(self, folder, urls):
        self.folder = folder
        targets = ", ".join(json.dumps(urllib.parse.urlsplit(url).netloc) for url in urls)
        (folder / "prometheus.yml").write_text(CONFIG.replace("TARGETS", targets))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self):
        config = ["--config.file", self.folder / "prometheus.yml", "--storage.tsdb.path", self.folder / "data"]
        command = ["prometheus", *map(str, config), "--web.listen-address", self.address]
        self.log = (self.folder / "prometheus.log").open("w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=DEADLINE)
        self.log.close()

    def query(self, expression):
        parameters = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{self.address}/api/v1/query?{parameters}", timeout=DEADLINE) as response:
            return json.load(response)["data"]["result"]

    def wait_for(self, expression, value):
        """Waits until a query has this one value."""
        until = time.monotonic() + DEADLINE
        result = None
        while time.monotonic() < until:
            try:
                result = self.query(expression)
            except OSError as error:
                # Prometheus does not listen yet.
                result = str(error)
            if isinstance(result, list) and [float(series["value"][1]) for series in result] == [value]:
                return
            time.sleep(0.2)
        self.log.seek(0)
        log = re.sub(r"\s+", " ", self.log.read())[-400:]
        raise AssertionError(f"{expression} is {result!r}; the log: {log}")


main()
