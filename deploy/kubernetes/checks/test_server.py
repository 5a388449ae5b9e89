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
BUBBLEWRAP = shutil.which("bwrap")
DATABASE = urlsplit(os.environ["DATABASE_ADMIN_URL"])
# What the kubelet sends: the pod's address, which is no host that the server answers to otherwise.
KUBELET = {"Host": "10.1.2.3:8000", "User-Agent": "kube-probe/1.37"}
PUBLIC = {"Host": "auth.example.com"}


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


def get(port, path, headers=KUBELET, method="GET", body=None, source="127.0.0.1"):
    """(status, headers, body), or none where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(source, 0))
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


class Pods:
    """The pods of a set of objects, as confined processes of this machine."""

    def __init__(self, objects, values):
        """`values`: of each key of the Secrets."""
        self.objects = objects
        self.root = Path(tempfile.mkdtemp())
        for secret, keys in secret_keys(objects).items():
            (self.root / secret).mkdir()
            for key in keys:
                (self.root / secret / key).write_text(values.get(key, ""))

    def remove(self):
        shutil.rmtree(self.root)

    def variables(self, item):
        return environment(self.objects, authly_container(pod_template(item)))

    def command(self, item, arguments=None):
        """The pod's command line, or the same program with other arguments, confined as its security context says:
        the image has nothing but the program, nothing can be written, and its user has no rights."""
        template = pod_template(item)
        container, user = authly_container(template), template["spec"]["securityContext"]
        assert "command" not in container, "the image's entry point is the program"
        binds = {AUTHLY: "/authly"}
        for path, secret in mounted_secrets(template, container).items():
            binds[self.root / secret] = path
        sandbox = [BUBBLEWRAP, "--unshare-user", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--new-session"]
        sandbox += ["--die-with-parent", "--uid", user["runAsUser"], "--gid", user["runAsGroup"]]
        sandbox += ["--proc", "/proc", "--dev", "/dev"]
        for source, path in binds.items():
            sandbox += ["--ro-bind", source, path]
        # The program of a release is static; one that was built for the tests needs its libraries.
        for path in ("/lib", "/lib64", "/usr/lib"):
            sandbox += ["--ro-bind-try", path, path]
        sandbox += ["--remount-ro", "/", "--", "/authly", *(arguments or container["args"])]
        return [str(it) for it in sandbox]

    def run(self, item, arguments=None, variables=None):
        """Runs a pod to its end."""
        command, variables = self.command(item, arguments), variables or self.variables(item)
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)


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
    """An overlay from nothing, with a Postgres and a Redis of its own."""

    def install(self, objects):
        """Makes what the overlay's servers need: secrets, the database, Redis."""
        self.objects = objects
        self.server, self.job, self.schedule = (
            of_kind(objects, kind)[0] for kind in ("Deployment", "Job", "CronJob")
        )
        self.container = authly_container(pod_template(self.server))
        self.redis_port, self.port, self.metrics_port = free_port(), free_port(), free_port()
        password = secrets.token_hex(16)
        self.redis_url = f"redis://authly:{password}@127.0.0.1:{self.redis_port}/0"
        acl = (HERE / "overlays/dev/users.acl").read_text().replace("development", password)
        self.pods = Pods(objects, generated_secrets() | {"REDIS_URL": self.redis_url, "users.acl": acl})
        self.addCleanup(self.pods.remove)
        self.make_database()
        self.start_redis()

    def start(self, command, **options):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def psql(self, statement):
        command = ["psql", DATABASE.geturl(), "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def make_database(self):
        """As the image of Postgres would: the tuning is accepted, and the script makes the role and its database."""
        container = pod_template(of_kind(self.objects, "StatefulSet", "postgres"))["spec"]["containers"][0]
        self.assertEqual(set(container["args"][::2]), {"-c"})
        for setting in container["args"][1::2]:
            name, _, value = setting.partition("=")
            self.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.psql("ALTER SYSTEM RESET ALL")
        files = [it["data"] for it in of_kind(self.objects, "ConfigMap")]
        (script,) = [it["create-database.sh"] for it in files if "create-database.sh" in it]
        variables = {
            "PATH": os.environ["PATH"],
            "PGHOST": DATABASE.hostname,
            "PGPORT": str(DATABASE.port),
            "AUTHLY_PASSWORD_FILE": str(next(self.pods.root.glob("postgres-secrets*/AUTHLY_PASSWORD"))),
        }
        subprocess.run(["bash", "-c", script], env=variables, check=True)
        self.addCleanup(self.psql, "DROP ROLE authly")
        self.addCleanup(self.psql, "DROP DATABASE authly WITH (FORCE)")
        self.assertEqual(self.psql("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = 'authly'"), "f")

    def start_redis(self):
        container = pod_template(of_kind(self.objects, "Deployment", "redis"))["spec"]["containers"][0]
        file = str(next(self.pods.root.glob("redis-secrets*/users.acl")))
        arguments = [it.replace("/run/secrets/redis/users.acl", file) for it in container["args"]]
        self.start(["redis-server", *arguments, "--port", str(self.redis_port), "--bind", "127.0.0.1"])

    def variables(self, item):
        """A pod's, but for the ports, which may be taken on this machine, and for mail, which must not leave it."""
        variables = self.pods.variables(item)
        here = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "METRICS_ADDRESS": f"127.0.0.1:{self.metrics_port}",
            "SMTP_HOST": "127.0.0.1",
        }
        return variables | {name: value for name, value in here.items() if name in variables}

    def start_server(self):
        confined = self.start(self.pods.command(self.server), env=self.variables(self.server))
        children = Path(f"/proc/{confined.pid}/task/{confined.pid}/children")
        return confined, int(eventually(lambda: children.read_text().strip()))

    def probe(self, name):
        """The status that the kubelet would see."""
        probe = self.container[f"{name}Probe"]["httpGet"]
        self.assertEqual(probe["port"], "http")
        answer = get(self.port, probe["path"])
        return answer and answer[0]

    def succeed(self, item):
        done = self.pods.run(item, variables=self.variables(item))
        self.assertEqual(done.returncode, 0, done.stderr)

    def roll_out(self):
        """From the first start to readiness."""
        confined, pid = self.start_server()
        # Before the migration it lives, but gets no traffic: a roll-out waits, and the old pods go on.
        eventually(lambda: self.probe("startup") == 200)
        self.assertEqual(self.probe("liveness"), 200)
        self.assertEqual(self.probe("readiness"), 503)
        # The migration is what it waits for. Run again, it does nothing.
        self.succeed(self.job)
        self.succeed(self.job)
        eventually(lambda: self.probe("readiness") == 200)
        self.assertEqual(self.probe("liveness"), 200)
        self.succeed(self.schedule)
        # Redis counts, under the rights that it gives.
        eventually(lambda: json.loads(get(self.port, "/health/ready")[2])["redis"] == "ok")
        return confined, pid

    def memory(self, pid, what):
        """In bytes."""
        return int(re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10

    def log_in(self, number):
        """A login with a wrong password, from an address of its own: it costs one password hash."""
        source = f"127.0.1.{number + 1}"
        status, received, page = get(self.port, "/login", PUBLIC, source=source)
        self.assertEqual(status, 200, page)
        cookie = "; ".join(it.split(";")[0] for it in received.get_all("set-cookie"))
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
        form = {"csrf_token": token, "return_to": "", "username": secrets.token_hex(8), "password": "wrong"}
        headers = PUBLIC | {
            "Cookie": cookie,
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"https://{PUBLIC['Host']}",
        }
        return get(self.port, "/login", headers, "POST", urlencode(form), source)[2]

    def test_production(self):
        self.install(render_with("overlays/production", ["postgres", "redis"]))
        confined, pid = self.roll_out()

        # Metrics are at their own port alone.
        self.assertIn("authly_requests_total", get(self.metrics_port, "/metrics")[2])
        self.assertEqual(get(self.port, "/metrics", PUBLIC)[0], 404)

        # Logins at once stay within the pod's memory, and are counted in Redis.
        idle = self.memory(pid, "VmRSS")
        with ThreadPoolExecutor(16) as pool:
            for page in pool.map(self.log_in, range(64)):
                self.assertIn("the password is wrong", page)
        count = ["redis-cli", "--no-auth-warning", "-u", self.redis_url, "DBSIZE"]
        self.assertGreater(int(subprocess.check_output(count)), 0)
        peak = self.memory(pid, "VmHWM")
        print(f"memory: {idle >> 20} MiB before, {peak >> 20} MiB at most while 16 people log in at once")
        self.assertLess(peak, quantity(self.container["resources"]["limits"]["memory"]))

        # Stopped, it ends within the time that the pod is given.
        os.kill(pid, signal.SIGTERM)
        grace = int(self.pods.variables(self.server)["SHUTDOWN_TIMEOUT_SECONDS"])
        self.assertEqual(confined.wait(timeout=grace), 0)

    def test_dev(self):
        self.install(render(HERE / "overlays/dev"))
        self.succeed(self.job)
        self.start_server()
        eventually(lambda: self.probe("readiness") == 200)
        # The client of the demonstration was made, and is known to the authorization endpoint.
        here = {"Host": "127.0.0.1:8000"}
        status, headers, _ = get(self.port, "/demo", here)
        self.assertEqual(status, 303)
        address = urlsplit(headers["Location"])
        status, headers, page = get(self.port, f"{address.path}?{address.query}", here)
        self.assertEqual(status, 303, page)
        self.assertIn("/login", headers["Location"])


if __name__ == "__main__":
    unittest.main()
