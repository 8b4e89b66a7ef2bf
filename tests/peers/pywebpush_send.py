"""Sends one notification with PyPI pywebpush, as a site would.

stdin:  {"subscription": PushSubscription, "payload": string, "options": webpush()'s other arguments:
        ttl, headers, vapid_private_key, vapid_claims, timeout}
stdout: {"status", "headers", "body"} whatever the server answered,
        or {"error"} and exit code 1 where there was no answer.
"""

import json
import sys

from pywebpush import WebPushException, webpush


def main() -> int:
    request = json.load(sys.stdin)
    try:
        response = webpush(
            request["subscription"],
            request["payload"],
            content_encoding="aes128gcm",
            **request.get("options", {}),
        )
    except WebPushException as refusal:
        response = refusal.response
        if response is None:
            return failed(refusal)
    except OSError as error:
        return failed(error)
    headers = {name.lower(): value for name, value in response.headers.items()}
    print(json.dumps({"status": response.status_code, "headers": headers, "body": response.text}))
    return 0


def failed(error: Exception) -> int:
    print(json.dumps({"error": repr(error)}))
    return 1


sys.exit(main())
