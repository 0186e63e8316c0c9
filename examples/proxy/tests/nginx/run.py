#!/usr/bin/env python3
"""The proxy before a real nginx that recycles its connections.

    run.py PATH_OF_API_KEY_NAME_PROXY

Requires nginx and openssl. Starts nginx with TLS and HTTP/2, with TLS and HTTP/1.1, and with plain HTTP/1.1. Each
connection serves 50 requests and is then closed (GOAWAY in HTTP/2). For each of the three, 48 clients send 20,000
requests through the proxy. Each response must have the status 200 and the expected bytes.
"""
import collections
import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

REQUESTS, CLIENTS, PER_CONNECTION = 20_000, 48, 50
START_DEADLINE, RESPONSE_TIMEOUT = 20, 60
ROW = '{"object":"organization.costs.result","api_key_id":"key_a","amount":{"value":0.060000000000000012}}'
NAMED = ROW.replace('"key_a"', '"key_a","api_key_name":"Alpha"')
PAGE = '{"object":"page","data":[%s],"has_more":false}'
ROWS = {"small": 1, "medium": 40, "large": 640}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def certificates(folder):
    """Makes an authority, ca.pem, and a certificate for localhost, s.pem."""
    (folder / "ext").write_text("subjectAltName=DNS:localhost\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for command in (
        f"req -x509 {key} -days 9 -keyout ca.key -out ca.pem -subj /CN=ca",
        f"req {key} -keyout s.key -out s.csr -subj /CN=localhost",
        "x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -extfile ext -out s.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def configuration(folder, ports):
    listeners = {"h2": "ssl http2", "h1 over TLS": "ssl", "h1": ""}
    servers = "".join(
        f"server {{ listen 127.0.0.1:{ports[name]} {options}; ssl_certificate {folder}/s.pem;"
        f" ssl_certificate_key {folder}/s.key; keepalive_requests {PER_CONNECTION}; root {folder}/www; }}\n"
        for name, options in listeners.items()
    )
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = " ".join(
        f"{kind}_temp_path {folder}/tmp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"{user} worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; daemon off;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; {temporary} types {{ application/json json; }} {servers} }}\n"
    )


def wait_until_open(port):
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


def start_proxy(path, base, folder):
    command = [path, "--port", "0", "--openai-base-url", base, "--names", str(folder / "names.json")]
    environment = dict(os.environ, SSL_CERT_FILE=str(folder / "ca.pem"))
    proxy = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in proxy.stdout:
        if listening := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return proxy, int(listening[1])
    sys.exit(f"the proxy did not start: {proxy.wait()}")


def send(port, number, faults):
    """Sends `number` requests on one connection, and adds what is wrong with the responses to `faults`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RESPONSE_TIMEOUT)
    for nth in range(number):
        size = list(ROWS)[nth % len(ROWS)]
        expected = (PAGE % ",".join([NAMED] * ROWS[size])).encode()
        try:
            connection.request("GET", f"/v1/organization/costs/{size}.json")
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                faults.append(f"{response.status} {body[:200]!r}")
            elif body != expected:
                faults.append(f"{size}: {len(body)} bytes, expected {len(expected)}")
        except (OSError, http.client.HTTPException) as e:
            faults.append(repr(e))
            connection.close()


def run(name, path, base, folder):
    """Returns True if no request fails."""
    proxy, port = start_proxy(path, base, folder)
    faults, begin = [], time.monotonic()
    try:
        shares = [REQUESTS // CLIENTS + (nth < REQUESTS % CLIENTS) for nth in range(CLIENTS)]
        clients = [threading.Thread(target=send, args=(port, share, faults)) for share in shares]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    finally:
        proxy.terminate()
        code = proxy.wait(START_DEADLINE)
    if code != 0:
        faults.append(f"the proxy's exit code is {code}")
    print(f"{name}: {REQUESTS} requests in {time.monotonic() - begin:.1f} s, {len(faults)} faults")
    for fault, count in collections.Counter(faults).most_common(5):
        print(f"  {count} x {fault}")
    return not faults


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        os.chmod(folder, 0o755)
        pages = folder / "www/v1/organization/costs"
        pages.mkdir(parents=True)
        for size, rows in ROWS.items():
            (pages / f"{size}.json").write_text(PAGE % ",".join([ROW] * rows))
        (folder / "names.json").write_text('{"key_a": "Alpha"}')
        certificates(folder)
        ports = {name: free_port() for name in ("h2", "h1 over TLS", "h1")}
        (folder / "nginx.conf").write_text(configuration(folder, ports))
        nginx = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            wait_until_open(ports["h2"])
            passed = [
                run(name, sys.argv[1], f"{'http' if name == 'h1' else 'https'}://localhost:{port}", folder)
                for name, port in ports.items()
            ]
        finally:
            nginx.terminate()
            nginx.wait()
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
