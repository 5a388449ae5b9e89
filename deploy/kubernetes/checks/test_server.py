"""The manifests against the real thing: Authly, with the variables, files and command lines of the rendered pods.

Environment: AUTHLY_BIN, the program; DATABASE_ADMIN_URL, a throw-away Postgres.
"""

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import yaml

from manifests import (
    HERE, OVERLAYS, authly_container, environment, mounted_secrets, of_kind, pod_template, pods, quantity, render,
    render_with, secret_keys,
)

AUTHLY = os.environ["AUTHLY_BIN"]
DATABASE = urlsplit(os.environ["DATABASE_ADMIN_URL"])
# What the kubelet sends: the pod's address, which is no host that the server answers to otherwise.
PROBE_HEADERS = {"Host": "10.1.2.3:8000", "User-Agent": "kube-probe/1.37"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(condition, seconds=20):
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {condition}"
        time.sleep(0.1)
    return found


def get(port, path, headers=PROBE_HEADERS, method="GET", body=None):
    """(status, headers, body), or none where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


class Pods:
    """The pods of a set of objects, as processes of this machine."""

    def __init__(self, objects, values):
        self.objects = objects
        self.root = Path(tempfile.mkdtemp())
        for secret, keys in secret_keys(objects).items():
            (self.root / secret).mkdir()
            for key in keys:
                (self.root / secret / key).write_text(values.get(key, ""))

    def remove(self):
        shutil.rmtree(self.root)

    def variables(self, item):
        """What the pod of an object has, but for the place where its secrets are mounted."""
        template = pod_template(item)
        container = authly_container(template)
        mounts = mounted_secrets(template, container)
        variables = environment(self.objects, container)
        for name, value in variables.items():
            directory, key = os.path.split(value)
            if name.endswith("_FILE") and directory in mounts:
                variables[name] = str(self.root / mounts[directory] / key)
        return variables

    def command(self, item):
        container = authly_container(pod_template(item))
        assert "command" not in container, "the image's entry point is the program"
        return [AUTHLY, *container["args"]]

    def run(self, item, arguments=None, **overridden):
        """Runs a pod to its end."""
        command = [AUTHLY, *arguments] if arguments else self.command(item)
        variables = self.variables(item) | overridden
        return subprocess.run(command, env=variables, cwd=self.root, capture_output=True, text=True, timeout=60)


def generated_secrets():
    password = secrets.token_hex(16)
    return {
        "DATABASE_URL": f"postgresql://authly:{password}@{DATABASE.hostname}:{DATABASE.port}/authly",
        "JWT_SECRET_KEY": secrets.token_hex(32),
        "JWT_REFRESH_SECRET_KEY": secrets.token_hex(32),
        "SMTP_PASSWORD": secrets.token_hex(16),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "AUTHLY_PASSWORD": password,
    }


class Configuration(unittest.TestCase):
    def test_every_pod_has_a_configuration_that_is_accepted(self):
        values = generated_secrets() | {"REDIS_URL": "redis://authly:secret@redis:6379/0"}
        for overlay in OVERLAYS:
            objects = render(HERE / "overlays" / overlay)
            of_overlay = Pods(objects, values)
            self.addCleanup(of_overlay.remove)
            for item, template in pods(objects):
                if not authly_container(template):
                    continue
                with self.subTest(overlay=overlay, kind=item["kind"]):
                    checked = of_overlay.run(item, ["config", "check"])
                    self.assertEqual(checked.returncode, 0, checked.stderr)
                    lines = [line for line in checked.stdout.splitlines() if not line.endswith("(default)")]
                    effective = dict(line.split("=", 1) for line in lines)
                    self.assertEqual(effective["ENVIRONMENT"], {"dev": "development"}.get(overlay, overlay))
                    # A variable that the program does not know would be missing here.
                    for name, value in of_overlay.variables(item).items():
                        if name.endswith("_FILE"):
                            self.assertIn(effective[name.removesuffix("_FILE")], ("(redacted)",), name)
                        else:
                            self.assertEqual(effective[name], value)

    def test_the_example_of_secrets_is_refused(self):
        example = yaml.safe_load_all((HERE / "examples/secrets.yaml").read_text())
        values = {key: value for it in example for key, value in it["stringData"].items()}
        production = Pods(render(HERE / "overlays/production"), values)
        self.addCleanup(production.remove)
        checked = production.run(of_kind(production.objects, "Deployment", "authly"), ["config", "check"])
        self.assertEqual(checked.returncode, 1)
        self.assertIn("JWT_SECRET_KEY", checked.stderr)
        self.assertIn("JWT_REFRESH_SECRET_KEY", checked.stderr)


class RollOut(unittest.TestCase):
    """Production, with a Postgres and a Redis of its own, from nothing."""

    @classmethod
    def setUpClass(cls):
        cls.values = generated_secrets()
        cls.processes = []
        objects = render_with("overlays/production", ["postgres", "redis"])
        redis_port = free_port()
        password = secrets.token_hex(16)
        cls.values["REDIS_URL"] = f"redis://authly:{password}@127.0.0.1:{redis_port}/0"
        acl = list(yaml.safe_load_all((HERE / "examples/secrets.yaml").read_text()))[-1]["stringData"]["users.acl"]
        cls.values["users.acl"] = acl.replace("REPLACE", password)
        cls.pods = Pods(objects, cls.values)
        cls.addClassCleanup(cls.pods.remove)
        cls.addClassCleanup(cls.stop_all)
        cls.objects = objects
        cls.redis_port = redis_port

    @classmethod
    def stop_all(cls):
        for process in cls.processes:
            process.kill()
            process.wait()

    def start(self, command, **options):
        with (self.pods.root / f"{Path(command[0]).name}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self.pods.root, stdout=log, stderr=log, **options)
        self.processes.append(process)
        return process

    def psql(self, statement):
        command = ["psql", os.environ["DATABASE_ADMIN_URL"], "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def make_database(self):
        """As the image of Postgres would: the tuning is accepted, and the script makes role and database."""
        container = of_kind(self.objects, "StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"][0]
        flags, settings = container["args"][::2], container["args"][1::2]
        self.assertEqual(set(flags), {"-c"})
        for setting in settings:
            name, _, value = setting.partition("=")
            self.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.psql("ALTER SYSTEM RESET ALL")
        (init,) = [it for it in of_kind(self.objects, "ConfigMap") if it["metadata"]["name"].startswith("postgres-init")]
        script = self.pods.root / "create-database.sh"
        script.write_text(init["data"]["create-database.sh"])
        variables = {
            "PATH": os.environ["PATH"],
            "PGHOST": DATABASE.hostname,
            "PGPORT": str(DATABASE.port),
            "PGDATABASE": "postgres",
            "AUTHLY_PASSWORD_FILE": str(self.pods.root / "postgres-secrets/AUTHLY_PASSWORD"),
        }
        subprocess.run(["bash", script], env=variables, check=True)
        self.assertEqual(self.psql("SELECT rolsuper FROM pg_roles WHERE rolname = 'authly'"), "f")

    def start_redis(self):
        container = of_kind(self.objects, "Deployment", "redis")["spec"]["template"]["spec"]["containers"][0]
        file = str(self.pods.root / "redis-secrets/users.acl")
        arguments = [it.replace("/run/secrets/redis/users.acl", file) for it in container["args"]]
        here = ["--port", str(self.redis_port), "--bind", "127.0.0.1"]
        self.start(["redis-server", *arguments, *here])

    def probe(self, container, name):
        """The status that the kubelet would see."""
        probe = container[f"{name}Probe"]["httpGet"]
        self.assertEqual(probe["port"], "http")
        answer = get(self.port, probe["path"])
        return answer and answer[0]

    def log_in(self, _):
        """A login with a wrong password: it costs one password hash."""
        headers = {"Host": "auth.example.com"}
        _, received, page = get(self.port, "/login", headers)
        cookie = "; ".join(it.split(";")[0] for it in received.get_all("set-cookie"))
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
        form = urlencode({"csrf_token": token, "return_to": "", "username": secrets.token_hex(8), "password": "wrong"})
        headers |= {
            "Cookie": cookie,
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "https://auth.example.com",
        }
        return get(self.port, "/login", headers, "POST", form)[0]

    def test_roll_out(self):
        self.make_database()
        self.start_redis()
        deployment = of_kind(self.objects, "Deployment", "authly")
        container = authly_container(pod_template(deployment))
        (migration,) = of_kind(self.objects, "Job")
        (maintenance,) = of_kind(self.objects, "CronJob")

        # The ports of this machine may be taken, and no mail leaves it.
        self.port, metrics = free_port(), free_port()
        here = {"HOST": "127.0.0.1", "PORT": str(self.port), "METRICS_ADDRESS": f"127.0.0.1:{metrics}"}
        mail = {"SMTP_HOST": "127.0.0.1"}
        variables = self.pods.variables(deployment) | here | mail
        server = self.start(self.pods.command(deployment), env=variables)

        # Before the migration it lives, but gets no traffic: a roll-out waits, and the old pods go on.
        eventually(lambda: self.probe(container, "startup") == 200)
        self.assertEqual(self.probe(container, "liveness"), 200)
        self.assertEqual(self.probe(container, "readiness"), 503)

        # The migration is what it waits for. Run again, it does nothing.
        for _ in range(2):
            migrated = self.pods.run(migration)
            self.assertEqual(migrated.returncode, 0, migrated.stderr)
        eventually(lambda: self.probe(container, "readiness") == 200)
        self.assertEqual(self.probe(container, "liveness"), 200)

        maintained = self.pods.run(maintenance, **mail)
        self.assertEqual(maintained.returncode, 0, maintained.stderr)

        # Metrics are at their own port alone.
        self.assertIn("authly_requests_total", get(metrics, "/metrics")[2])
        self.assertEqual(get(self.port, "/metrics", {"Host": "auth.example.com"})[0], 404)

        # Redis counts, under the rights that the example gives.
        eventually(lambda: json.loads(get(self.port, "/health/ready")[2])["redis"] == "ok")

        # Logins at once stay within the pod's memory.
        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(self.log_in, range(32)))
        self.assertEqual(set(statuses) & {500, 503}, set())
        url = self.values["REDIS_URL"]
        keys = subprocess.run(["redis-cli", "--no-auth-warning", "-u", url, "DBSIZE"], capture_output=True, text=True)
        self.assertGreater(int(keys.stdout), 0, keys.stderr)
        status = Path(f"/proc/{server.pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10
        print(f"peak of memory with 16 logins at once: {peak >> 20} MiB")
        self.assertLess(peak, quantity(container["resources"]["limits"]["memory"]))

        # Stopped, it ends within the time that the pod is given.
        grace = int(variables["SHUTDOWN_TIMEOUT_SECONDS"])
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(timeout=grace), 0)


if __name__ == "__main__":
    unittest.main()
