"""The Helm chart, packed: with the values of an overlay it makes what the overlay makes."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from manifests import COMPONENTS, HERE, of_kind, render

# What names are made of: Kustomize's hash and ours, Kustomize's release and Helm's revision.
HASHED = ("authly-config-", "authly-migrate")


def overlay_values(overlay):
    """An overlay's own choices, as values of the chart."""
    directory = HERE / "overlays" / overlay
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    lines = (directory / "config.env").read_text().splitlines()
    chosen = {Path(it).name for it in kustomization["components"]}
    (image,) = kustomization["images"]
    return {
        "image": {"repository": image["newName"], "tag": image["newTag"]},
        "config": dict(line.split("=", 1) for line in lines if line and not line.startswith("#")),
        "components": {name: name in chosen for name in COMPONENTS},
    }


def comparable(objects):
    """Objects by kind and name, whatever tool made their names."""
    text = json.dumps([it for it in objects if it["kind"] != "Namespace"])
    for item in objects:
        name = item["metadata"]["name"]
        for prefix in HASHED:
            if name.startswith(prefix):
                text = text.replace(json.dumps(name), json.dumps(prefix))
    return {(it["kind"], it["metadata"]["name"]): it for it in json.loads(text)}


class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.directory = Path(directory.name)
        subprocess.run([HERE / "helm/package.sh", cls.directory], check=True, stdout=subprocess.DEVNULL)
        (cls.chart,) = cls.directory.glob("authly-*.tgz")

    def helm(self, command, values, *options):
        file = self.directory / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        command = ["helm", *command, self.chart, "--values", file, *options]
        return subprocess.run(command, capture_output=True, text=True)

    def template(self, values):
        done = self.helm(["template", "authly"], values, "--namespace", "authly")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [it for it in yaml.safe_load_all(done.stdout) if it]

    def test_it_makes_what_the_overlay_makes(self):
        values = overlay_values("production")
        self.maxDiff = None
        overlay = comparable(render(HERE / "overlays/production"))
        self.assertEqual(comparable(self.template(values)), overlay)

    def test_lint(self):
        done = self.helm(["lint", "--strict"], overlay_values("production"))
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_values_are_checked(self):
        values = overlay_values("production")
        for wrong in ({"config": {"issuer_url": "x"}}, {"image": {"repository": "a", "tag": "latest"}}, {"image_": {}}):
            self.assertNotEqual(self.helm(["template", "authly"], values | wrong).returncode, 0, wrong)

    def test_another_configuration_is_another_roll_out(self):
        values = overlay_values("production")
        before = of_kind(self.template(values), "ConfigMap")[0]["metadata"]["name"]
        values["config"]["LOG_LEVEL"] = "debug"
        self.assertNotEqual(of_kind(self.template(values), "ConfigMap")[0]["metadata"]["name"], before)

    def test_anything_can_be_overridden(self):
        values = overlay_values("production")
        values["overrides"] = {"Ingress": {"authly": {"spec": {"ingressClassName": "traefik"}}}}
        values["components"]["autoscaling"] = False
        values["replicas"] = 5
        objects = self.template(values)
        self.assertEqual(of_kind(objects, "Ingress", "authly")["spec"]["ingressClassName"], "traefik")
        self.assertEqual(of_kind(objects, "Deployment", "authly")["spec"]["replicas"], 5)


if __name__ == "__main__":
    unittest.main()
