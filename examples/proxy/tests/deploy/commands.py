"""The command lines of the manifests and the unit, each in a container: python3 commands.py FOLDER

FOLDER contains the file system of the image and its configuration. Requires a network namespace of its own, because the
servers have the ports of the real ones.
"""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

# No files are written into the source tree.
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients"))

import manifests
import provider
from container import DEADLINE, Container, Mount
from model_api import REAL_KEY
from paths import DEPLOY, DROP_IN, PROGRAM, UNIT, image_root
from tally import check, end, equal
from unit import CREDENTIALS, STATE, Service

FOLDER = Path(sys.argv[1])
AUTHORITY = "/authority.pem"
# An address of the pod that is not its loopback address: a listener at 127.0.0.1 does not accept its connections.
POD_ADDRESS = "127.0.0.2"
PORT, OPERATOR_PORT = 18080, 18081
# The number that systemd gives to a dynamic user, and the number of the group proxy-keys.
DYNAMIC_USER, KEYS_GROUP = 61234, 990
COSTS = "/v1/organization/costs?start_time=0&group_by=api_key_name"
CALL = json.dumps({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi"}]})


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    certificates = FOLDER / "certificates"
    certificates.mkdir()
    authority = provider.serve(certificates).read_text()
    commands = Commands(json.loads((FOLDER / "config.json").read_text()), authority)
    check("the image prints the version", commands.version)
    check("the image prints the demo's costs", commands.demo_costs)
    check("the image serves with /names.json", commands.serve_defaults)
    check("a wrong flag ends with exit code 2", commands.wrong_flag)
    for arguments in readme_arguments():
        check(f"README: {' '.join(arguments) or 'no arguments'}", lambda: commands.accept(arguments))
    check("the CronJob writes the names of the lists", commands.sync)
    check("the replicas name keys from the ConfigMap and the synced file", commands.names)
    check("a changed ConfigMap is reloaded", commands.config_map_change)
    check("without a file of authorities, Mozilla's are trusted", commands.own_authorities)
    check("the sidecar is reached from its pod only", commands.sidecar)
    check("the service with proxy keys starts with the forms of its Secrets", commands.no_proxy_keys)
    key = commands.mint_key()
    check("the Deployment of the proxy keys meters a call", lambda: commands.proxy_keys(key))
    check("the unit names keys of the synced file", commands.unit)
    check("the unit with its drop-in meters a call", lambda: commands.unit_with_proxy_keys(key))
    end()


class Commands:
    """The checks. `volumes` contains the folder of each volume that a container may write."""

    def __init__(self, config, authority):
        self.entrypoint = config["Entrypoint"]
        self.image_variables = dict(variable.split("=", 1) for variable in config["Env"])
        self.user = int(config["User"].split(":")[0])
        self.authority = authority
        self.count = 0
        # The texts that replace those of the Secrets.
        self.secrets = {"openai-admin-key": REAL_KEY}

    def new_folder(self, name):
        self.count += 1
        folder = FOLDER / f"{self.count}-{name}"
        folder.mkdir()
        return folder

    def volume(self, name, user):
        """A folder that lasts, which `user` may write."""
        folder = FOLDER / f"volume-{name}"
        folder.mkdir(exist_ok=True)
        os.chown(folder, user, user)
        return folder

    def image(self, arguments, variables=None, files=None, **options):
        """A container of the image with these arguments, which trusts the authority of the test."""
        trusted = {"SSL_CERT_FILE": AUTHORITY} | (variables or {})
        return Container(
            image_root(FOLDER),
            self.new_folder("image") / "root",
            [*self.entrypoint, *arguments],
            self.image_variables | {name: value for name, value in trusted.items() if value},
            files={AUTHORITY: self.authority} | (files or {}),
            **options,
        )

    def run(self, arguments, **options):
        """Runs the image to its end, and returns the exit code and the output."""
        with self.image(arguments, user=self.user, **options) as container:
            code = container.wait()
        return code, container.output()

    def version(self):
        code, output = self.run(["--version"])
        equal((code, output.split()[0]), (0, PROGRAM))
        return output.strip()

    def demo_costs(self):
        code, output = self.run(["spend", "--demo", "--last", "1d"])
        equal((code, "storefront-prod" in output), (0, True), output)

    def serve_defaults(self):
        names = {"/names.json": json.dumps({provider.KEY_ID: "Mounted"})}
        with self.image([], user=self.user, files=names) as container:
            container.until(lambda: expect_name(POD_ADDRESS, PORT, "Mounted"))
        equal(container.exit_code, 0, f"exit code: {container.output()}")

    def wrong_flag(self):
        code, output = self.run(["--nmaes", "x"])
        equal((code, "unexpected argument" in output), (2, True), output)

    def accept(self, arguments):
        """With `--help` at its end, a command line is parsed and not run."""
        code, output = self.run([*arguments, "--help"])
        equal(code, 0, output)

    def workload(self, kind, name, variables=None):
        """The container of the proxy in a workload, with its volumes, its user and its arguments."""
        found = manifests.find_object(kind, name)
        container = manifests.proxy_container(found)
        security = manifests.security_of(found)
        equal((security["runAsNonRoot"], security["readOnlyRootFilesystem"]), (True, True))
        volumes = {volume["name"]: volume for volume in manifests.pod_spec(found)["volumes"]}
        mounts = []
        for mount in container["volumeMounts"]:
            source = self.source_of(volumes[mount["name"]], security["runAsUser"], security.get("fsGroup"))
            mounts.append(Mount(source, mount["mountPath"], mount.get("readOnly", False)))
        set_by_pod = {variable["name"]: variable["value"] for variable in container.get("env", [])}
        return self.image(
            container["args"], set_by_pod | (variables or {}), mounts=mounts, user=security["runAsUser"]
        )

    def source_of(self, volume, user, group):
        """The folder of a volume, in the form that the kubelet gives it."""
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            manifests.find_object("PersistentVolumeClaim", claim)
            return self.volume(claim, user)
        if "configMap" in volume:
            texts = manifests.find_object("ConfigMap", volume["configMap"]["name"])["data"]
            return write_projected(self.new_folder("config-map"), texts, 0o644, 0)
        secret = volume["secret"]
        texts = manifests.find_object("Secret", secret["secretName"])["stringData"]
        replaced = {name: self.secrets.get(name, text) for name, text in texts.items()}
        return write_projected(self.new_folder("secret"), replaced, secret["defaultMode"], group)

    @contextmanager
    def served(self, kind, name, probe_address=POD_ADDRESS, variables=None):
        """A workload whose probes have succeeded. It must end with exit code 0."""
        probed = manifests.proxy_container(manifests.find_object(kind, name))
        with self.workload(kind, name, variables) as container:
            for action in probe_actions(probed):
                (port,) = [port["containerPort"] for port in probed["ports"] if port["name"] == action["port"]]
                container.until(lambda: expect_probe(probe_address, port, action["path"]))
            yield container
        equal(container.exit_code, 0, f"exit code: {container.output()}")

    def sync(self):
        with self.workload("CronJob", "api-key-name-proxy-sync") as container:
            code = container.wait()
        equal(code, 0, f"exit code: {container.output()}")
        return container.output().strip()

    def names(self):
        with self.served("Deployment", "api-key-name-proxy"):
            equal(named_key(POD_ADDRESS, PORT), provider.KEY_NAME)
            status, health = get(POD_ADDRESS, OPERATOR_PORT, "/health")
            # The key of the ConfigMap, and the key of the synced file.
            equal((status, json.loads(health)["openai"]["entries"]), (200, 2))
            equal(get(POD_ADDRESS, OPERATOR_PORT, "/spend")[0], 404)

    def config_map_change(self):
        with self.served("Deployment", "api-key-name-proxy") as container:
            (mounted,) = FOLDER.glob(f"{self.count - 1}-config-map")
            write_projected(mounted, {"names.json": json.dumps({provider.KEY_ID: "Changed"})}, 0o644, 0)
            container.until(lambda: expect_name(POD_ADDRESS, PORT, "Changed"))

    def own_authorities(self):
        with self.served("Deployment", "api-key-name-proxy", variables={"SSL_CERT_FILE": ""}) as container:
            # The certificate of the test's API is not signed by one of them.
            equal(get(POD_ADDRESS, PORT, COSTS)[0], 502)
        equal("Mozilla's are used" in container.output(), True, container.output())

    def sidecar(self):
        with self.served("Deployment", "cost-report"):
            equal(get("127.0.0.1", PORT, COSTS)[0], 200)
            try:
                get(POD_ADDRESS, PORT, COSTS)
            except ConnectionRefusedError:
                return
            raise AssertionError("the main port is open to other pods")

    def no_proxy_keys(self):
        with self.served("Deployment", "api-key-name-proxy-keys"):
            status, body = send(POD_ADDRESS, PORT, "POST", "/v1/chat/completions", CALL, REAL_KEY)
            equal((status, json.loads(body)["error"]["code"]), (401, "invalid_api_key"))

    def mint_key(self):
        """Mints a key in a folder of its own, puts the keys file in the Secret, and returns the key."""
        folder = self.volume("minted", self.user)
        mounts = [Mount(folder, "/keys", False)]
        code, output = self.run(["keys", "new", "/keys/keys.json", "--name", "app", "--unlimited"], mounts=mounts)
        equal(code, 0, output)
        self.secrets |= {"openai-api-key": REAL_KEY, "keys.json": (folder / "keys.json").read_text()}
        return next(line for line in output.splitlines() if line.startswith("sk-"))

    def proxy_keys(self, key):
        with self.served("Deployment", "api-key-name-proxy-keys"):
            expect_call(key)
            equal(get("127.0.0.1", OPERATOR_PORT, "/health")[0], 200)
        self.expect_usage("api-key-name-proxy-ledger")

    def expect_usage(self, volume, user=None):
        mounts = [Mount(FOLDER / "volume-minted", "/keys", True), Mount(FOLDER / f"volume-{volume}", "/ledger", False)]
        arguments = ["keys", "usage", "/keys/keys.json", "--ledger", "/ledger/ledger.sqlite", "--json"]
        with self.image(arguments, mounts=mounts, user=0) as container:
            container.wait()
        equal('"tokens"' in container.output(), True, container.output())

    def unit(self):
        service = Service(UNIT)
        with self.service(service, {}) as container:
            container.until(lambda: expect_name("127.0.0.1", PORT, provider.KEY_NAME))
            equal(get("127.0.0.1", OPERATOR_PORT, "/spend")[0], 200)
        equal(container.exit_code, 0, f"exit code: {container.output()}")

    def unit_with_proxy_keys(self, key):
        keys = self.new_folder("etc")
        write_file(keys / "keys.json", self.secrets["keys.json"], 0o640, KEYS_GROUP)
        mounts = {"/etc/api-key-name-proxy": keys}
        with self.service(Service(UNIT, DROP_IN), mounts) as container:
            container.until(lambda: expect_call(key))
            equal(get("127.0.0.1", OPERATOR_PORT, COSTS)[0], 200)
        equal(container.exit_code, 0, f"exit code: {container.output()}")
        self.expect_usage(f"{UNIT.name}")

    def service(self, service, read_only_mounts):
        """A container that starts as systemd starts the unit: with its state, its credentials and its user."""
        credentials = self.new_folder("credentials")
        for name in service.credentials():
            write_file(credentials / name, self.secrets[name], 0o400, DYNAMIC_USER, DYNAMIC_USER)
        (state,) = service.values("StateDirectory")
        mounts = [
            Mount(credentials, CREDENTIALS, True),
            Mount(self.volume(UNIT.name, DYNAMIC_USER), f"{STATE}/{state}", False),
            *(Mount(source, path, True) for path, source in read_only_mounts.items()),
        ]
        return Container(
            image_root(FOLDER),
            self.new_folder("unit") / "root",
            service.command(),
            service.environment() | {"SSL_CERT_FILE": AUTHORITY},
            mounts=mounts,
            user=DYNAMIC_USER,
            group=KEYS_GROUP if service.values("SupplementaryGroups") else None,
            files={AUTHORITY: self.authority},
        )


def probe_actions(container):
    """The HTTP requests of the probes of a container."""
    return [value["httpGet"] for name, value in container.items() if name.endswith("Probe")]


def readme_arguments():
    """The arguments of each command line of the README with this program."""
    blocks = re.findall(r"```console\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)
    lines = re.sub(r"\\\n\s*", "", "".join(blocks)).splitlines()
    found = [re.search(rf"(?:^. |-- /usr/local/bin/|^. docker run .* ){PROGRAM}(?::\S+)?( .*)?$", line) for line in lines]
    return [shlex.split(match[1] or "") for match in found if match]


def write_file(path, text, mode, group, owner=0):
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, owner, group or 0)


def write_projected(folder, texts, mode, group):
    """Writes the files of a ConfigMap or a Secret: links through `..data`, which is replaced in one step."""
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir()
    for name, text in texts.items():
        write_file(version / name, text, mode, group)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    (folder / "..data_tmp").symlink_to(version.name)
    (folder / "..data_tmp").rename(folder / "..data")
    return folder


def get(address, port, path):
    """The status and the body of a request with the key of the API."""
    return send(address, port, "GET", path, None, REAL_KEY)


def send(address, port, method, path, body, key):
    connection = http.client.HTTPConnection(address, port, timeout=DEADLINE)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Host": f"127.0.0.1:{port}"}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def expect_probe(address, port, path):
    status, _ = get(address, port, path)
    if status == 503:
        raise OSError(f"{path}: not ready")
    equal(status, 200, path)


def named_key(address, port):
    """The name of the key in the costs."""
    status, body = get(address, port, COSTS)
    equal(status, 200, body)
    return json.loads(body)["data"][0]["results"][0]["api_key_name"]


def expect_name(address, port, name):
    found = named_key(address, port)
    if found != name:
        raise OSError(f"the name is {found!r}, not {name!r}")


def expect_call(key):
    status, body = send("127.0.0.1", PORT, "POST", "/v1/chat/completions", CALL, key)
    equal((status, json.loads(body).get("usage", {}).get("total_tokens")), (200, 12), body)


if __name__ == "__main__":
    main()
