"""The Kubernetes manifests: their objects, and the containers that run the program."""

import subprocess
import sys

import yaml

from paths import MANIFESTS, PROGRAM


def all_objects():
    """Each object of each manifest."""
    return [found for path in MANIFESTS for found in yaml.safe_load_all(path.read_text())]


def find_object(kind, name):
    (found,) = [each for each in all_objects() if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod_spec(workload):
    """The pod of a Deployment or a CronJob."""
    if workload["kind"] == "CronJob":
        return workload["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return workload["spec"]["template"]["spec"]


def proxy_container(workload):
    """The only container of a pod that has the image of this repository."""
    pod = pod_spec(workload)
    containers = pod.get("initContainers", []) + pod["containers"]
    (found,) = [each for each in containers if each["image"].startswith(PROGRAM + ":")]
    return found


def security_of(workload):
    """The security context of the container of the proxy, with what it inherits from its pod."""
    return pod_spec(workload).get("securityContext", {}) | proxy_container(workload)["securityContext"]


def validate(path):
    """Validates a manifest, and returns the output. Raises an exception if an object is not valid."""
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", path]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise ValueError(done.stdout)
    return done.stdout
