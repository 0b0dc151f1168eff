"""An HTTP request whose answer is a pair, whatever it is."""
import urllib.error
import urllib.request


def ask(url, method="GET", body=None, headers=None, timeout=10):
    """(status, body as text); status 0 and why when there is no answer."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError as e:
        return 0, str(e)
