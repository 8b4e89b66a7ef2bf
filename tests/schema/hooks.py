"""What schemathesis cannot know of a running server: what exists there, and what must go on existing."""

import itertools
import os

import requests
import schemathesis
from hypothesis import strategies as st

URL = os.environ["BELFRY_URL"]
TOKEN = os.environ["BELFRY_TOKEN"]
# What the run itself stands on, so that nothing deletes it.
KEPT_NAMES = ("BELFRY_SIGN_IN", "BELFRY_DEVICE", "BELFRY_PERMISSION", "BELFRY_RECEIPTS", "BELFRY_ADMIN_TOKEN_ID")
KEPT = {os.environ[name] for name in KEPT_NAMES}
# They end the sign-in that they are asked with, and so have one of an account made for that.
ENDING = {"sign_out", "erase_account", "change_password"}
# They could keep the run itself out, and so are only asked what they would do.
KEEPING_OUT = {"admin_create_ban", "admin_import_bans", "admin_set_limits"}
# The shortest crypto-box body: 24 bytes of nonce, 16 of authenticator, 128 of text.
BOX_BYTES = 168

names = itertools.count()


@schemathesis.hook
def before_generate_body(context, strategy):
    """Random bytes are a crypto-box body where there are as many as such a body has."""
    if context.operation.definition.raw["operationId"] != "push":
        return strategy
    return st.one_of(st.binary(min_size=BOX_BYTES, max_size=BOX_BYTES), strategy)


@schemathesis.hook
def filter_case(context, case):
    if case.operation.definition.raw["operationId"] in KEEPING_OUT:
        return (case.query or {}).get("dry_run") not in (None, False, "false")
    return case.method != "DELETE" or KEPT.isdisjoint((case.path_parameters or {}).values())


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers
    if case.operation.definition.raw["operationId"] in ENDING and headers.get("Authorization") == f"Bearer {TOKEN}":
        headers["Authorization"] = f"Bearer {new_sign_in()}"


def new_sign_in():
    account = {"username": f"thrown-away-{next(names)}", "password": "correct horse battery staple"}
    requests.post(f"{URL}/v1/accounts", json=account).raise_for_status()
    signed_in = requests.post(f"{URL}/v1/sessions", json=account)
    signed_in.raise_for_status()
    return signed_in.json()["access_token"]
