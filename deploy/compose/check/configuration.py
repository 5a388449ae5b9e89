"""Compares compose.yaml and .env.example with each other and with what `authly config check` knows.

usage: configuration.py RESOLVED_COMPOSE_FILE COMPOSE_FILE ENV_EXAMPLE ENV SECRETS_DIRECTORY AUTHLY

RESOLVED_COMPOSE_FILE is what `podman-compose config` printed, ENV the .env that it used.
"""

import os
import re
import subprocess
import sys

import dotenv
import yaml

resolved_file, compose_file, example_file, env_file, secrets, authly = sys.argv[1:]
problems = []
services = yaml.safe_load(open(resolved_file))["services"]
instances = ["authly-1", "authly-2"]


def config_check(environment):
    """Runs `authly config check` with nothing but this environment."""
    return subprocess.run([authly, "config", "check"], env=environment, capture_output=True, text=True)


def environment_of(service):
    """What Compose gives to the service's process, with the secrets where they are here."""
    environment = dict(dotenv.dotenv_values(env_file)) | services[service]["environment"]
    given = {name: value for name, value in environment.items() if value is not None}
    return {name: value.replace("/run/secrets", secrets) if name.endswith("_FILE") else value for name, value in given.items()}


# ---- What Compose would start can be started.

for service in instances + ["migrate"]:
    result = config_check(environment_of(service))
    if result.returncode != 0:
        problems.append(f"{service}: {result.stderr}")
if problems:
    sys.exit("\n".join(problems))
output = config_check(environment_of("authly-1")).stdout

# ---- Without its secrets it cannot: they are read, from there.

for name in ["JWT_SECRET_KEY_FILE", "JWT_REFRESH_SECRET_KEY_FILE", "DATABASE_URL_FILE", "ADMIN_PASSWORD_FILE"]:
    environment = environment_of("authly-1")
    environment[name] += ".missing"
    if config_check(environment).returncode == 0:
        problems.append(f"nobody misses the file of {name}")

# ---- Names. A line of `config check` is NAME=value, and "  (default)" where it was not set.

known = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", output, re.MULTILINE))
given = {name.removesuffix("_FILE") for name in services["authly-1"]["environment"]}
example = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", open(example_file).read(), re.MULTILINE))
offered = {name.removesuffix("_FILE") for name in example}
interpolated = set(re.findall(r"\$\{([A-Z0-9_]+)", open(compose_file).read()))

problems += [f"compose.yaml gives {name}, which Authly does not know" for name in sorted(given - known.keys())]
problems += [f".env.example has {name}, which nobody reads" for name in sorted(offered - known.keys() - interpolated)]
problems += [f"{name} is neither in .env.example nor in compose.yaml" for name in sorted(known.keys() - offered - given)]
problems += [f"compose.yaml reads {name}, which is not in .env.example" for name in sorted(interpolated - example.keys())]

# ---- Defaults that .env.example shows are the defaults. Those of the machine or of another variable's value are not known.

shown = dict(re.findall(r"^#([A-Z0-9_]+)=(.+)$", open(example_file).read(), re.MULTILINE))
for name, value in shown.items():
    default = known.get(name, "").removesuffix("  (default)")
    if known.get(name, "").endswith("  (default)") and default not in ("(unset)", value) and name != "PASSWORD_HASHING_CONCURRENCY":
        problems.append(f".env.example shows {name}={value}, but the default is {default}")
for name, value in re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", open(compose_file).read()):
    if shown.get(name) != value:
        problems.append(f".env.example shows {name}={shown.get(name)}, but compose.yaml has {value}")

# ---- Nobody has more than it needs.

for name, service in services.items():
    if not (service.get("read_only") and service.get("cap_drop") == ["ALL"]):
        problems.append(f"{name} can write to its files, or has capabilities")
    if service.get("security_opt") != ["no-new-privileges:true"]:
        problems.append(f"{name} can get new privileges")
    if "memory" not in service.get("deploy", {}).get("resources", {}).get("limits", {}):
        problems.append(f"{name} has no limit of memory")
    if name != "nginx" and not all(port.startswith("127.0.0.1:") for port in service.get("ports", [])):
        problems.append(f"{name} is open to other machines")
    secret = re.compile("(PASSWORD|SECRET|KEY)$")
    if any(secret.search(key) and not value.startswith("/") for key, value in service.get("environment", {}).items()):
        problems.append(f"{name} has a secret in its environment")

sys.exit("\n".join(problems) if problems else 0)
