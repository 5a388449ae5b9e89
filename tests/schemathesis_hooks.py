"""What requests must leave alone, so that the operator's token stays good: its own client, and the scopes that it has.

In a sequence of requests a change must be made where a dry run is one of the things that are tried: schemathesis takes
it for made."""

import os
from urllib.parse import unquote

import schemathesis

CLIENT = os.environ["AUTHLY_OPERATOR_ID"]


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta and case.meta.phase.name == "stateful":
        (case.query or {}).pop("dry_run", None)
    parameters = {name: unquote(str(value)) for name, value in (case.path_parameters or {}).items()}
    if parameters.get("client_id") == CLIENT or parameters.get("name", "").startswith("admin:"):
        case.path_parameters = {name: "spared" for name in parameters}
