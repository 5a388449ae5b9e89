"""What must hold for every overlay, and for the base with each component."""

import re
import subprocess
import unittest
from urllib.parse import urlsplit

import jsonschema
import yaml

from manifests import (
    HERE, OVERLAYS, authly_container, environment, installations, matches, of_kind, pod_template, pods, quantity,
    secret_files, secret_keys,
)

# The variables of the guide that this product's configuration began with.
VARIABLES = """
    DATABASE_URL JWT_SECRET_KEY JWT_REFRESH_SECRET_KEY JWT_ALGORITHM ACCESS_TOKEN_EXPIRE_MINUTES
    REFRESH_TOKEN_EXPIRE_DAYS OAUTH_ENABLED AUTHORIZATION_CODE_EXPIRE_MINUTES PKCE_REQUIRED REQUIRE_USER_CONSENT
    CORS_ORIGINS ALLOWED_HOSTS RATE_LIMIT_ENABLED RATE_LIMIT_REQUESTS_PER_MINUTE ENVIRONMENT LOG_LEVEL DEBUG SMTP_HOST
    SMTP_PORT SMTP_USERNAME SMTP_PASSWORD SMTP_FROM_EMAIL METRICS_ENABLED HEALTH_CHECK_ENABLED REDIS_URL CACHE_TTL
""".split()

# What production consists of, by kind and name; Kustomize's hashes and the release are not part of names here.
PRODUCTION = {
    ("Namespace", "authly"),
    ("ServiceAccount", "authly"),
    ("ConfigMap", "authly-config"),
    ("ExternalSecret", "authly-secrets"),
    ("Deployment", "authly"),
    ("Service", "authly"),
    ("Ingress", "authly"),
    ("HorizontalPodAutoscaler", "authly"),
    ("PodDisruptionBudget", "authly"),
    ("Job", "authly-migrate"),
    ("CronJob", "authly-maintenance"),
    ("ServiceMonitor", "authly"),
    ("NetworkPolicy", "default-deny"),
    ("NetworkPolicy", "dns"),
    ("NetworkPolicy", "from-ingress-controller"),
    ("NetworkPolicy", "acme-challenges"),
    ("NetworkPolicy", "from-prometheus"),
    ("NetworkPolicy", "to-collector"),
    ("NetworkPolicy", "to-external-services"),
}
# With a Postgres and a Redis of its own.
OWN_POSTGRES_AND_REDIS = {
    ("StatefulSet", "postgres"),
    ("ConfigMap", "postgres-init"),
    ("Service", "postgres"),
    ("NetworkPolicy", "postgres"),
    ("NetworkPolicy", "to-postgres"),
    ("Deployment", "redis"),
    ("Service", "redis"),
    ("NetworkPolicy", "redis"),
    ("NetworkPolicy", "to-redis"),
}

# What is not for the world: administration, the demonstration, and what the cluster asks by itself.
NOT_PUBLIC = re.compile(r"/(admin|metrics|demo)(/|$)|/health/")

# A server that is idle, and what it takes on under load beside password hashes; measured, see README.md.
SERVER_BYTES = 40 << 20


def may_talk(objects, source, target, port):
    """Whether the policies let pods with these labels talk to others of the namespace: both sides have to."""

    def allows(direction, peers, selected, peer):
        return any(
            matches(policy["spec"]["podSelector"], selected)
            and any("namespaceSelector" not in it and matches(it.get("podSelector", {}), peer) for it in rule[peers])
            and {"protocol": "TCP", "port": port} in rule["ports"]
            for policy in of_kind(objects, "NetworkPolicy")
            for rule in policy["spec"].get(direction, [])
            if not any("ipBlock" in it for it in rule[peers])
        )

    return allows("egress", "to", source, target) and allows("ingress", "from", target, source)


def identities(objects):
    """Kind and name of each object, without hash and release."""
    suffixes = {"ConfigMap": r"-[0-9a-z]{10}$", "Job": r"-\d+\.\d+\.\d+$"}
    return {(it["kind"], re.sub(suffixes.get(it["kind"], "$"), "", it["metadata"]["name"])) for it in objects}


def server_variables(objects):
    """The variables of the server."""
    return environment(objects, authly_container(pod_template(of_kind(objects, "Deployment", "authly"))))


class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.installations = dict(installations())
        cls.production = cls.installations["production"]

    def setUp(self):
        self.place = ""

    def _formatMessage(self, message, standard):
        return f"{self.place}: {super()._formatMessage(message, standard)}"

    def every(self, *kinds):
        """Each object of these kinds, wherever it is; what fails says where."""
        for installation, objects in self.installations.items():
            for item in objects:
                if item["kind"] in kinds:
                    self.place = f"{installation}: {item['kind']} {item['metadata']['name']}"
                    yield item, objects

    def every_pod(self):
        """Each object that makes pods, its template, and all objects beside it."""
        for item, objects in self.every("Deployment", "StatefulSet", "Job", "CronJob"):
            yield item, pod_template(item), objects

    def every_server(self):
        """Each deployment of Authly, its container and the container's variables."""
        for item, template, objects in self.every_pod():
            if item["kind"] == "Deployment" and (container := authly_container(template)):
                yield item, container, environment(objects, container)

    def test_production_has_each_object(self):
        self.assertEqual(identities(self.production), PRODUCTION)
        self.assertEqual(identities(self.installations["all"]), PRODUCTION | OWN_POSTGRES_AND_REDIS)

    def test_the_examples_have_each_secret(self):
        example = {it["metadata"]["name"] for it in yaml.safe_load_all((HERE / "examples/secrets.yaml").read_text())}
        self.assertEqual(example, {"authly-secrets", "postgres-secrets", "redis-secrets"})
        # Of those, production gets this one from the secret manager, with the same keys.
        self.assertEqual(secret_keys(self.production)["authly-secrets"], secret_keys([])["authly-secrets"])

    def test_there_are_three_servers(self):
        self.assertEqual(of_kind(self.installations["base"], "Deployment", "authly")["spec"]["replicas"], 3)
        autoscaler = of_kind(self.production, "HorizontalPodAutoscaler", "authly")["spec"]
        self.assertEqual((autoscaler["minReplicas"], autoscaler["maxReplicas"]), (3, 10))
        (metric,) = autoscaler["metrics"]
        self.assertEqual(metric["resource"]["name"], "cpu")
        budget = of_kind(self.production, "PodDisruptionBudget", "authly")["spec"]
        self.assertEqual(budget["maxUnavailable"], 1)

    def test_servers_are_probed(self):
        for _, container, _ in self.every_server():
            probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
            live, ready = ({"path": f"/health/{it}", "port": "http"} for it in ("live", "ready"))
            self.assertEqual(probes, {"startup": live, "liveness": live, "readiness": ready})

    def test_servers_are_spread(self):
        for item, _, _ in self.every_server():
            constraints = pod_template(item)["spec"]["topologySpreadConstraints"]
            keys = [it["topologyKey"] for it in constraints]
            self.assertEqual(keys, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"])

    def test_jobs_do_what_their_names_say(self):
        for item, template, _ in self.every_pod():
            if item["kind"] in ("Job", "CronJob"):
                expected = {"Job": ["migrate"], "CronJob": ["maintenance", "run"]}[item["kind"]]
                self.assertEqual(authly_container(template)["args"], expected)
        schedule = of_kind(self.production, "CronJob", "authly-maintenance")["spec"]
        self.assertEqual((schedule["schedule"], schedule["concurrencyPolicy"]), ("*/10 * * * *", "Forbid"))
        self.assertEqual(server_variables(self.production)["MAINTENANCE_INTERVAL_MINUTES"], "0")

    def test_the_service_has_both_ports_and_prometheus_reads_one(self):
        ports = of_kind(self.production, "Service", "authly")["spec"]["ports"]
        self.assertEqual({it["name"]: it["targetPort"] for it in ports}, {"http": "http", "metrics": "metrics"})
        (endpoint,) = of_kind(self.production, "ServiceMonitor", "authly")["spec"]["endpoints"]
        self.assertEqual((endpoint["port"], endpoint["path"]), ("metrics", "/metrics"))

    def test_everything_is_in_the_namespace(self):
        for installation, objects in self.installations.items():
            (namespace,) = of_kind(objects, "Namespace")
            name = namespace["metadata"]["name"]
            labels = namespace["metadata"]["labels"]
            self.assertEqual(labels["pod-security.kubernetes.io/enforce"], "restricted")
            for item in objects:
                if item is not namespace:
                    self.assertEqual(item["metadata"].get("namespace"), name, (installation, item["metadata"]["name"]))

    def test_objects_of_operators_have_the_fields_that_they_know(self):
        schemas = yaml.safe_load((HERE / "checks/crds.yaml").read_text())
        rules = HERE.parent / "monitoring/rules"
        if rules.exists():
            printed = subprocess.run([HERE / "prometheus-rules.sh", rules], check=True, stdout=subprocess.PIPE).stdout
            self.installations["alert rules"] = list(yaml.safe_load_all(printed))
            self.addCleanup(self.installations.pop, "alert rules")
        for item, _ in self.every(*schemas):
            jsonschema.validate(item, schemas[item["kind"]])

    def test_pods_are_restricted(self):
        for _, template, _ in self.every_pod():
            spec = template["spec"]
            self.assertIs(spec["automountServiceAccountToken"], False)
            self.assertIs(spec["enableServiceLinks"], False)
            self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & spec.keys())
            context = spec["securityContext"]
            self.assertIs(context["runAsNonRoot"], True)
            self.assertGreater(context["runAsUser"], 0)
            self.assertGreater(context["runAsGroup"], 0)
            self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertTrue(all({"secret", "configMap", "emptyDir"} & it.keys() for it in spec.get("volumes", [])))
            for container in spec["containers"] + spec.get("initContainers", []):
                self.assertEqual(container["securityContext"], {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                })

    def test_containers_have_requests_and_limits(self):
        for _, template, _ in self.every_pod():
            for container in template["spec"]["containers"]:
                requests, limits = container["resources"]["requests"], container["resources"]["limits"]
                self.assertEqual(requests.keys(), limits.keys())
                self.assertEqual(requests.keys(), {"cpu", "memory"})
                self.assertLessEqual(quantity(requests["memory"]), quantity(limits["memory"]))

    def test_memory_is_enough_for_the_hashes_in_flight(self):
        for _, template, objects in self.every_pod():
            if container := authly_container(template):
                variables = environment(objects, container)
                # And one more, whose memory the allocator has not given back yet.
                hashes = int(variables["PASSWORD_HASHING_CONCURRENCY"]) + 1
                limit = quantity(container["resources"]["limits"]["memory"])
                per_hash = int(variables.get("ARGON2_MEMORY_KIB", 19456)) << 10
                self.assertGreaterEqual(limit, SERVER_BYTES + hashes * per_hash)

    def test_images_are_pinned(self):
        for name in [*OVERLAYS, "all"]:
            for item, template in pods(self.installations[name]):
                for container in template["spec"]["containers"]:
                    image = container["image"]
                    self.assertRegex(image, r":\d+\.\d+(\.\d+)?(-\w+)?$|@sha256:", item["metadata"]["name"])

    def test_the_migration_is_named_by_its_release(self):
        (job,) = of_kind(self.production, "Job")
        release = authly_container(job["spec"]["template"])["image"].rpartition(":")[2]
        self.assertEqual(job["metadata"]["name"], f"authly-migrate-{release}")

    def test_selectors_match(self):
        for item, objects in self.every("Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"):
            spec, kind, name = item["spec"], item["kind"], item["metadata"]["name"]
            if kind == "ServiceMonitor":
                candidates = of_kind(objects, "Service")
                labels = [it["metadata"]["labels"] for it in candidates]
            else:
                labels = [template["metadata"]["labels"] for _, template in pods(objects)]
            selector = {
                "Service": lambda: {"matchLabels": spec["selector"]},
                "NetworkPolicy": lambda: spec["podSelector"],
            }.get(kind, lambda: spec["selector"])()
            if name != "acme-challenges":
                self.assertTrue(any(matches(selector, it) for it in labels), selector)

    def test_only_servers_get_traffic(self):
        for item, objects in self.every("Service"):
            if item["metadata"]["name"] == "authly":
                selected = [
                    it["kind"]
                    for it, template in pods(objects)
                    if matches({"matchLabels": item["spec"]["selector"]}, template["metadata"]["labels"])
                ]
                self.assertEqual(selected, ["Deployment"])

    def test_pods_are_those_of_their_owner(self):
        for item, template, _ in self.every_pod():
            if item["kind"] in ("Deployment", "StatefulSet"):
                self.assertTrue(matches(item["spec"]["selector"], template["metadata"]["labels"]))
            for spread in template["spec"].get("topologySpreadConstraints", []):
                self.assertTrue(matches(spread["labelSelector"], template["metadata"]["labels"]))

    def test_named_ports_exist(self):
        for item, objects in self.every("Service", "NetworkPolicy"):
            ingress = [port for rule in item["spec"].get("ingress", []) for port in rule["ports"]]
            egress = [port for rule in item["spec"].get("egress", []) for port in rule["ports"]]
            named = {it.get("targetPort", it["port"]) for it in item["spec"].get("ports", ingress + egress)}
            containers = [it for _, template in pods(objects) for it in template["spec"]["containers"]]
            existing = {port["name"] for it in containers for port in it.get("ports", [])}
            self.assertLessEqual({port for port in named if isinstance(port, str)}, existing)
        for item, objects in self.every("ServiceMonitor"):
            ports = {port["name"] for port in of_kind(objects, "Service", "authly")["spec"]["ports"]}
            self.assertLessEqual({it["port"] for it in item["spec"]["endpoints"]}, ports)

    def test_ports_are_those_of_the_configuration(self):
        for _, container, variables in self.every_server():
            ports = {it["name"]: it["containerPort"] for it in container["ports"]}
            self.assertEqual(ports["http"], int(variables["PORT"]))
            self.assertEqual(ports["metrics"], int(variables["METRICS_ADDRESS"].rpartition(":")[2]))

    def test_a_pod_has_time_to_finish(self):
        for item, container, variables in self.every_server():
            drain = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            shutdown = int(variables["SHUTDOWN_TIMEOUT_SECONDS"])
            self.assertGreaterEqual(shutdown, int(variables["REQUEST_TIMEOUT_SECONDS"]))
            self.assertGreater(pod_template(item)["spec"]["terminationGracePeriodSeconds"], drain + shutdown)

    def test_no_pod_is_missing_during_a_roll_out(self):
        for item, _, _ in self.every_server():
            rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
            self.assertEqual(item["spec"]["strategy"], rolling)

    def test_the_number_of_servers_is_said_once(self):
        for installation, objects in self.installations.items():
            deployment = of_kind(objects, "Deployment", "authly")
            autoscalers = of_kind(objects, "HorizontalPodAutoscaler")
            self.assertNotEqual("replicas" in deployment["spec"], bool(autoscalers), installation)
            for autoscaler in autoscalers:
                target = autoscaler["spec"]["scaleTargetRef"]
                self.assertEqual((target["kind"], target["name"]), ("Deployment", "authly"))

    def test_the_database_has_connections_for_all(self):
        objects = self.installations["all"]
        deployment = of_kind(objects, "Deployment", "authly")
        variables = server_variables(objects)
        (autoscaler,) = of_kind(objects, "HorizontalPodAutoscaler")
        # One more during a roll-out, a migration, and a run of the maintenance.
        pools = autoscaler["spec"]["maxReplicas"] + deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] + 2
        arguments = of_kind(objects, "StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"][0]["args"]
        (connections,) = [int(it.partition("=")[2]) for it in arguments if it.startswith("max_connections=")]
        # Three are reserved for the superuser.
        self.assertLessEqual(pools * int(variables["DATABASE_POOL_SIZE"]), connections - 3)

    def test_secrets_have_the_files_that_variables_name(self):
        for installation, objects in self.installations.items():
            keys = secret_keys(objects)
            for variable, secret, key in secret_files(objects):
                self.assertIn(key, keys.get(secret, ()), (installation, variable))

    def test_the_example_has_the_rights_that_dev_has(self):
        example = yaml.safe_load_all((HERE / "examples/secrets.yaml").read_text())
        (rights,) = [it["stringData"]["users.acl"] for it in example if "users.acl" in it["stringData"]]
        self.assertEqual(rights.replace("REPLACE", "development"), (HERE / "overlays/dev/users.acl").read_text())

    def test_production_brings_no_secret(self):
        self.assertEqual(of_kind(self.production, "Secret"), [])

    def test_production_says_everything(self):
        variables = server_variables(self.production)
        self.assertEqual({it for it in VARIABLES if not {it, f"{it}_FILE"} & variables.keys()}, set())

    def test_the_ingress_is_for_the_issuer(self):
        issuer = urlsplit(server_variables(self.production)["ISSUER_URL"])
        (ingress,) = of_kind(self.production, "Ingress")
        self.assertEqual(issuer.scheme, "https")
        self.assertEqual([it["host"] for it in ingress["spec"]["rules"]], [issuer.hostname])
        self.assertEqual([it["hosts"] for it in ingress["spec"]["tls"]], [[issuer.hostname]])
        # cert-manager makes the certificate, and puts it there.
        self.assertTrue(ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"])
        self.assertTrue(ingress["spec"]["tls"][0]["secretName"])

    def test_the_ingress_forwards_what_is_public_and_nothing_else(self):
        router = (HERE.parents[1] / "core/src/router.rs").read_text().partition("#[cfg(test)]")[0]
        routes = set(re.findall(r'"(/[^"]*)"', router))
        self.assertIn("/auth/token", routes)
        (ingress,) = of_kind(self.production, "Ingress")
        paths = ingress["spec"]["rules"][0]["http"]["paths"]

        def forwards(route):
            return any(
                route == it["path"] or (it["pathType"] == "Prefix" and route.startswith(it["path"].rstrip("/") + "/"))
                for it in paths
            )

        for route in sorted(routes | {"/metrics", "/admin"}):
            with self.subTest(route=route):
                self.assertEqual(forwards(route), not NOT_PUBLIC.match(route))

    def test_nothing_is_allowed_by_default(self):
        for installation, objects in self.installations.items():
            policy = of_kind(objects, "NetworkPolicy", "default-deny")["spec"]
            self.assertEqual(policy, {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, installation)
        for item, _ in self.every("NetworkPolicy"):
            for rule in item["spec"].get("ingress", []):
                self.assertTrue(rule["from"] and rule["ports"])
            for rule in item["spec"].get("egress", []):
                self.assertTrue(rule["to"] and rule["ports"])

    def test_servers_and_jobs_reach_postgres_and_redis_and_nobody_else_does(self):
        objects = self.installations["all"]
        for source, template in pods(objects):
            for target, port in (("postgres", "postgres"), ("redis", "redis")):
                self.place = f"{source['metadata']['name']} to {target}"
                labels, target_labels = template["metadata"]["labels"], {"app.kubernetes.io/name": target}
                self.assertEqual(may_talk(objects, labels, target_labels, port), authly_container(template) is not None)


if __name__ == "__main__":
    unittest.main()
