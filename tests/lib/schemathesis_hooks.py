"""What an OpenAPI document cannot say: that one parameter needs another, and that a key is for one request."""
import re
import uuid

import schemathesis

KEY = re.compile(r'[!#-+\--:<-\[\]-~]{1,255}|"([ !#-\[\]-~]|\\["\\]){1,255}"')


@schemathesis.hook
def before_call(context, case, kwargs):
    if "q" in (case.query or {}) and case.path == "/events":
        case.query.setdefault("from", "2026-01-01T00:00:00Z")
    headers = case.headers or {}
    if case.path == "/events" and KEY.fullmatch(str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = str(uuid.uuid4())
