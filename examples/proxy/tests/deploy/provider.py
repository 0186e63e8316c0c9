"""A network of its own with the APIs of both providers: a name server and an HTTPS server on the loopback interface.

Only for a process in a network namespace without other interfaces.
"""

import http.server
import json
import socketserver
import ssl
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients"))

import model_api

HOSTS = ["api.openai.com", "api.anthropic.com"]
NOT_FOUND = 3
KEY_ID, KEY_NAME = "key_a", "Alpha"
ROW = {"object": "organization.costs.result", "api_key_id": KEY_ID, "amount": {"value": 0.5, "currency": "usd"}}
BUCKET = {"object": "bucket", "start_time": 0, "end_time": 86400, "results": [ROW]}
LISTS = {
    "/v1/organization/costs": [BUCKET],
    "/v1/organization/projects": [{"object": "organization.project", "id": "proj_a", "name": "Project"}],
    "/v1/organization/projects/proj_a/api_keys": [
        {"object": "organization.project.api_key", "id": KEY_ID, "name": KEY_NAME}
    ],
}


class NameServer(socketserver.BaseRequestHandler):
    """Resolves the names of the providers to 127.0.0.1, and no other name."""

    def handle(self):
        query, socket = self.request
        name, question_end = read_name(query, 12)
        question_end += 4
        is_ipv4 = query[question_end - 4 : question_end - 2] == b"\0\1"
        code = 0 if name in HOSTS else NOT_FOUND
        address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_ipv4 and code == 0 else b""
        counts = b"\0\1" + (b"\0\1" if address else b"\0\0") + b"\0\0\0\0"
        header = query[:2] + bytes([0x81, 0x80 | code]) + counts
        socket.sendto(header + query[12:question_end] + address, self.client_address)


def read_name(query, offset):
    """The name at an offset of a DNS message, and the offset behind it."""
    labels = []
    while length := query[offset]:
        labels.append(query[offset + 1 : offset + 1 + length].decode())
        offset += 1 + length
    return ".".join(labels), offset + 1


class Api(model_api.Handler):
    """The calls to models, and the lists and costs of an organization."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.startswith("/v1/organization/"):
            self.send_json(200, {"object": "list", "data": LISTS.get(path, []), "has_more": False})
        else:
            super().do_GET()


def serve(folder):
    """Starts both servers, and returns the file with the authority that has signed the certificate of the APIs."""
    authority = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 443), Api)
    api.daemon_threads = True
    api.credentials = set()
    api.socket = context.wrap_socket(api.socket, server_side=True)
    names = socketserver.ThreadingUDPServer(("127.0.0.1", 53), NameServer)
    for server in [api, names]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return authority


def make_certificates(folder):
    (folder / "extensions").write_text(f"subjectAltName={','.join(f'DNS:{host}' for host in HOSTS)}\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for command in (
        f"req -x509 {key} -days 9 -keyout authority.key -out authority.pem -subj /CN=authority",
        f"req {key} -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 9"
        " -extfile extensions -out server.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder / "authority.pem"
