"""Compares env.example, runtime-config.toml and the README with spin.toml and with what `authly config check` knows.

usage: configuration.py SPIN_TOML RUNTIME_CONFIG ENV_EXAMPLE README AUTHLY

That spin.toml has what the component reads is a test of its own: tests/tests/spin_manifest.rs.
"""

import io
import re
import subprocess
import sys
import tomllib

import dotenv

spin_file, runtime_file, example_file, readme_file, authly = sys.argv[1:]
problems = []

PREFIX = "SPIN_VARIABLE_"
variables = tomllib.load(open(spin_file, "rb"))["variables"]

# ---- Where variables come from: each provider is of a kind that Spin has.

providers = tomllib.load(open(runtime_file, "rb"))["variables_provider"]
for provider in providers:
    if provider["type"] not in ("env", "static", "vault", "azure_key_vault"):
        problems.append(f"{runtime_file}: Spin has no provider {provider['type']}")

# ---- Examples: what is shown as a comment would be accepted as well.

text = open(example_file).read()
example = dotenv.dotenv_values(stream=io.StringIO(text))
shown = dotenv.dotenv_values(stream=io.StringIO(re.sub(rf"^#(?={PREFIX})", "", text, flags=re.MULTILINE)))
for name, value in (example | shown).items():
    if value is None:
        problems.append(f"{example_file}: {name} has no value")
    elif not name.startswith(PREFIX):
        problems.append(f"{example_file}: {name} does not begin with {PREFIX}")
    elif name.removeprefix(PREFIX).lower() not in variables:
        problems.append(f"{example_file}: {name} is not in {spin_file}")
needed = [name for name, it in variables.items() if it.get("required")] + ["database_host"]
problems += [f"{example_file}: {name} is missing" for name in needed if PREFIX + name.upper() not in example]

# ---- What the README says is ignored: of what a process knows, that which the component does not.

environment = {
    "ENVIRONMENT": "production",
    "ISSUER_URL": "https://auth.example.com",
    "DATABASE_URL": "postgresql://authly@db/authly",
    "JWT_SECRET_KEY": "kGw1cXo0Zt7b2mQyJ9vR5sHnLuP8eDfA",
    "JWT_REFRESH_SECRET_KEY": "Yq3TzV6xKc9NwSgB4jMhPr7LdEuF2aJo",
}
result = subprocess.run([authly, "config", "check"], env=environment, capture_output=True, text=True)
known = set(re.findall(r"^([A-Z0-9_]+)=", result.stdout, re.MULTILINE))
if not known:
    sys.exit(f"authly config check: {result.stderr}")
table = re.search(r"^\| variables that are ignored \|.*\n((?:\|.*\n)+)", open(readme_file).read(), re.MULTILINE)[1]
ignored = set(re.findall(r"`([A-Z0-9_]+)`", "".join(row.split("|")[1] for row in table.splitlines())))
read = {name.upper() for name in variables}
problems += [f"{readme_file}: {name} is ignored, which the README does not say" for name in sorted(known - read - ignored)]
problems += [f"{readme_file}: {name} is not ignored" for name in sorted(ignored & read)]
problems += [f"{readme_file}: {name} is no variable" for name in sorted(ignored - known)]

sys.exit("\n".join(problems) if problems else 0)
