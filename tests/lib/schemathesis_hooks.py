"""What an OpenAPI document cannot say: that one parameter needs another."""
import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    if "q" in (case.query or {}) and case.path == "/events":
        case.query.setdefault("from", "2026-01-01T00:00:00Z")
