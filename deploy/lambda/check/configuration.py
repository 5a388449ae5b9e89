"""Compares the variables that template.yaml gives to the function with what `authly config check` knows.

usage: configuration.py TEMPLATE AUTHLY
"""

import itertools
import re
import subprocess
import sys

import yaml

template_file, authly = sys.argv[1:]
problems = []

SECRETS = {
    "database_url": "postgresql://authly:password@proxy.example.com:5432/authly?sslmode=verify-full&statement-cache-capacity=0",
    "jwt_secret_key": "kGw1cXo0Zt7b2mQyJ9vR5sHnLuP8eDfA",
    "jwt_secret_key_previous": "",
    "jwt_refresh_secret_key": "Yq3TzV6xKc9NwSgB4jMhPr7LdEuF2aJo",
    "jwt_refresh_secret_key_previous": "",
    "admin_password": "correct horse battery staple",
    "smtp_password": "password",
    "otel_exporter_otlp_headers": "authorization=Basic%20YTpi",
}
REQUIRED = {"IssuerUrl": "https://auth.example.com", "SecretArn": "arn:aws:secretsmanager:eu-north-1:1:secret:authly"}
# Each adds to what is required.
OPTIONAL = [
    {"AdminEmail": "admin@example.com"},
    {"SmtpHost": "smtp.example.com", "SmtpFromEmail": "no-reply@example.com"},
    {"SmtpUsername": "authly"},
    {"OtlpEndpoint": "http://localhost:4318", "CollectorPort": "443"},
    {"OtlpHeadersInSecret": "true"},
]


class Loader(yaml.SafeLoader):
    """Reads `!If […]` as {"If": […]}."""


def function(loader, name, node):
    kinds = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: lambda it: loader.construct_sequence(it, deep=True)}
    return {name: kinds[type(node)](node)}


Loader.add_multi_constructor("!", function)
template = yaml.load(open(template_file), Loader)
used_secrets = set()


class Stack:
    """The template with values for its parameters."""

    def __init__(self, given):
        defaults = {name: str(it["Default"]) for name, it in template["Parameters"].items() if "Default" in it}
        self.parameters = defaults | REQUIRED | given

    def secret(self, reference):
        name = re.fullmatch(r"\{\{resolve:secretsmanager:.+:SecretString:(\w+)::.*\}\}", reference)[1]
        used_secrets.add(name)
        return SECRETS[name]

    def value(self, item):
        """What an intrinsic function gives; none is no value."""
        if isinstance(item, list):
            return [value for it in item if (value := self.value(it)) is not None]
        if not isinstance(item, dict) or len(item) != 1 or not set(item) <= {"Ref", "Sub", "If", "Equals", "Not", "And", "Condition"}:
            return item
        ((name, argument),) = item.items()
        if name == "Ref":
            return None if argument == "AWS::NoValue" else self.parameters.get(argument, argument)
        if name == "Sub":
            return self.secret(re.sub(r"\$\{(\w+)\}", lambda it: self.parameters[it[1]], argument))
        if name == "If":
            return self.value(argument[1 if self.condition(argument[0]) else 2])
        if name == "Equals":
            return str(self.value(argument[0])) == str(argument[1])
        if name == "Condition":
            return self.condition(argument)
        values = [self.value(it) for it in argument]
        return all(values) if name == "And" else not values[0]

    def condition(self, name):
        return self.value(template["Conditions"][name])

    def environment(self):
        variables = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
        return {name: str(self.value(item)) for name, item in variables.items()}

    def open_ports(self):
        rules = template["Resources"]["SecurityGroup"]["Properties"]["SecurityGroupEgress"]
        return sorted(str(self.value(rule["FromPort"])) for rule in self.value(rules))


def config_check(environment):
    return subprocess.run([authly, "config", "check"], env=environment, capture_output=True, text=True)


# ---- Whatever is chosen, the function starts with it, and knows every variable.

for count in range(len(OPTIONAL) + 1):
    for chosen in itertools.combinations(OPTIONAL, count):
        given = {name: value for group in chosen for name, value in group.items()}
        environment = Stack(given).environment()
        result = config_check(environment)
        if result.returncode != 0:
            problems.append(f"with {given}: {result.stderr}")
            continue
        known = dict(re.findall(r"^([A-Z0-9_]+)=(.*?)(?:  \(default\))?$", result.stdout, re.MULTILINE))
        problems += [f"template.yaml gives {name}, which Authly does not know" for name in environment.keys() - known.keys()]
        for name, value in environment.items():
            if value and known.get(name) not in (value, "(redacted)"):
                problems.append(f"with {given}: {name} is {known.get(name)}, not {value}")

# ---- Secrets are all of use, and are secrets.

problems += [f"nothing reads {name} of the secret" for name in SECRETS.keys() - used_secrets]
described = " ".join(template["Parameters"]["SecretArn"]["Description"].split())
problems += [f"SecretArn's description does not name {name}" for name in SECRETS if name not in described]
full = Stack({name: value for group in OPTIONAL for name, value in group.items()})
for name, value in full.environment().items():
    if value in SECRETS.values() and value and known[name] != "(redacted)":
        problems.append(f"{name} is a secret, but `authly config check` shows it")

# ---- The network is open to what is chosen, and to nothing else.

for given, ports in [({}, ["5432"]), (OPTIONAL[1], ["5432", "587"]), (OPTIONAL[1] | OPTIONAL[3], ["443", "5432", "587"])]:
    if (opened := Stack(given).open_ports()) != ports:
        problems.append(f"with {given} the ports {opened} are open, not {ports}")

# One mistake shows in many choices.
sys.exit("\n".join(sorted(set(problems), key=len)[:5]) if problems else 0)
