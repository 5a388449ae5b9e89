"""What Kustomize makes of this directory, as Python data, and what a pod of it sees."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parents[1]
OVERLAYS = sorted(path.name for path in (HERE / "overlays").iterdir())
COMPONENTS = sorted(path.name for path in (HERE / "components").iterdir())


def render(directory):
    """The objects of a kustomization."""
    command = ["kubectl", "kustomize", str(directory)]
    return list(yaml.safe_load_all(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def render_with(resource, components):
    """The objects of a kustomization with more components."""
    with tempfile.TemporaryDirectory() as directory:
        path = lambda *parts: os.path.relpath(HERE.joinpath(*parts), os.path.realpath(directory))
        kustomization = {
            "namespace": "authly",
            "resources": [path(resource)],
            "components": [path("components", name) for name in components],
        }
        Path(directory, "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return render(directory)


def installations():
    """The base, alone and with each component; every overlay; and production with a Postgres and a Redis of its own."""
    yield "base", render(HERE / "base")
    for name in OVERLAYS:
        yield name, render(HERE / "overlays" / name)
    for name in COMPONENTS:
        yield f"base and {name}", render_with("base", [name])
    yield "all", render_with("overlays/production", ["postgres", "redis"])


def of_kind(objects, kind, name=None):
    """The objects of a kind, or the one of a name."""
    found = [item for item in objects if item["kind"] == kind]
    if name is None:
        return found
    (only,) = [item for item in found if item["metadata"]["name"] == name]
    return only


def pod_template(item):
    """The pod that an object makes, or none."""
    if item["kind"] in ("Deployment", "StatefulSet", "Job"):
        return item["spec"]["template"]
    if item["kind"] == "CronJob":
        return item["spec"]["jobTemplate"]["spec"]["template"]
    return None


def pods(objects):
    """Every object that makes pods, and its template."""
    return [(item, template) for item in objects if (template := pod_template(item))]


def authly_container(template):
    """The container of a pod that runs Authly, or none."""
    return next((it for it in template["spec"]["containers"] if it["name"] == "authly"), None)


def environment(objects, container):
    """The variables of a container. Every source of them that these manifests do not use is an error."""
    variables = {}
    for source in container.get("envFrom", []):
        variables |= of_kind(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        variables[variable["name"]] = variable["value"]
    return variables


def mounted_secrets(template, container):
    """Mount path to Secret."""
    volumes = {it["name"]: it["secret"]["secretName"] for it in template["spec"]["volumes"] if "secret" in it}
    mounts = container.get("volumeMounts", [])
    return {it["mountPath"]: volumes[it["name"]] for it in mounts if it["name"] in volumes}


def secret_keys(objects):
    """Secret to the keys that it has: of Secrets, ExternalSecrets, and the example for what neither makes."""
    example = yaml.safe_load_all((HERE / "examples/secrets.yaml").read_text())
    keys = {it["metadata"]["name"]: set(it["stringData"]) for it in example}
    for item in objects:
        if item["kind"] == "Secret":
            keys[item["metadata"]["name"]] = set(item["data"])
        if item["kind"] == "ExternalSecret":
            keys[item["spec"]["target"]["name"]] = {it["secretKey"] for it in item["spec"]["data"]}
    return keys


def secret_files(objects):
    """Each file of a secret that a variable names: (variable, Secret, key)."""
    for _, template in pods(objects):
        for container in template["spec"]["containers"]:
            secrets = mounted_secrets(template, container)
            for name, value in environment(objects, container).items():
                if name.endswith("_FILE"):
                    directory, key = os.path.split(value)
                    yield name, secrets.get(directory), key


def quantity(text):
    """A quantity of memory in bytes."""
    units = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
    return int(text[:-2]) * units[text[-2:]]


def matches(selector, labels):
    """Whether a label selector of equalities selects what has these labels."""
    assert set(selector) <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()


if __name__ == "__main__":
    # Writes one file of each into the directory that is named.
    for installation, rendered in installations():
        Path(sys.argv[1], f"{installation}.yaml").write_text(yaml.safe_dump_all(rendered))
