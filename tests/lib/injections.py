"""Strings that would do harm where a program takes text for something else, made from known ones of each kind; the same each
time."""
import itertools
import random

SQL = """' OR '1'='1|' OR 1=1 --|'; DROP TABLE events; --|" OR ""="|1; DELETE FROM events|') OR ('a'='a|admin'--|1 OR 1=1|' UNION SELECT NULL, version() --
1' UNION ALL SELECT rolname, rolpassword FROM pg_authid --|'; SELECT pg_sleep(30); --|1; COPY events TO PROGRAM 'id'|$$; DROP SCHEMA millrace CASCADE; $$
'; ALTER ROLE millrace_api SUPERUSER; --|' || pg_read_file('/etc/passwd') || '|E'\\' OR 1=1 --|\\'; DROP TABLE events; --|'/**/OR/**/1=1/**/--|' AND 1=(SELECT count(*) FROM pg_tables) --
'; TRUNCATE events; COMMIT; --|'::text; UPDATE events SET value = 0; --|in.(a,b); DROP TABLE events|in.(a'),('b)|gte.1) OR (1=1|eq.' OR 'a|id) FROM events; DROP TABLE events; --
"; DROP TABLE "events"; --|events; DROP TABLE events|(SELECT 1)|CAST(1 AS int); --|%27%20OR%201=1|`id`|{"$ne": null}|$1|$2; SELECT 1|:name|?|' LIKE '%|_%_%|SET ROLE postgres
'; NOTIFY a; --|'; SET ROLE postgres; --|xid8(1)|pg_current_xact_id()|nextval('a')|lo_import('/etc/passwd')|'; DO $a$ BEGIN PERFORM millrace.drop_pipeline('events'); END $a$; --"""
HEADER = """a\r\nX-Injected: yes|a\r\n\r\n<html>|\r\nSet-Cookie: a=b|a\nX-Injected: yes|a\rX-Injected: yes|%0d%0aX-Injected: yes|%0D%0A%0D%0A<script>|\u010d\u010aX-Injected: yes|a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK
\r\n\t folded|a, b; rel="next"|<>; rel="next"|"quoted\\"|text/html;q=1|*/*;q=9|W/"a"|a: b|Host: other.example|a\r\nTransfer-Encoding: chunked|\u0085\u2028X-Injected: yes|bytes=0-18446744073709551615"""
PATH = """../../../etc/passwd|..\\..\\windows\\win.ini|....//....//etc/passwd|%2e%2e%2f%2e%2e%2fetc%2fpasswd|..%252f..%252fetc/passwd|/etc/passwd|file:///etc/passwd|.|..|/|//|\\|a/../b|./main.js|main.js/..
main.js%00.html|..;/|.git/config|%c0%ae%c0%ae/|~root|CON|a/b/c|main.js?a|main.js#a|/proc/self/environ|\u2024\u2024/|..\u2215etc|C:\\|\\\\host\\share|-|--help|-rf|*|?|.htaccess|page/../index.html"""
HTML = """<script>alert(1)</script>|<img src=x onerror=alert(1)>|"><svg onload=alert(1)>|'"><b>|javascript:alert(1)|</title><script>|<!--|]]>|&lt;script&gt;|&#60;script&#62;|{{7*7}}|${7*7}|#{7*7}|<%= 7*7 %>|<iframe src=//a>
<a href="data:text/html,x">|<style>@import'a'</style>|\\u003cscript\\u003e|</script>|<math><mtext>|<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>|<x/onclick=a>|"onmouseover="a|`-alert(1)-`|__proto__|constructor
${jndi:ldap://a/b}|=cmd|' /C calc'!A0|@SUM(1)|+1+1|-1+1|\t=1|%s%s%s%n|%x%x%x|%1000000d|$(id)|`id`|; id|| id|& id|a;b|*)(uid=*))(|\\x41|[[:alpha:]]|(a+)+$|^(.*)*$|a{1,100000}"""
UNICODE = """\u00e4\u00f6|\u0131|\u212a|\ufeff|\u200b|\u202e\u202d|\u0000|\u0001\u001f|\u007f|\u0080\u009f|\ufffd|\uffff|\U0010ffff|\U0001f4a9|e\u0301\u0301\u0301|\u00df|\u1e9e|\u0130|\uff07 OR 1=1|\uff1cscript\uff1e|\u2019|\u02bc|\u00a0|\u3000|\u2028|\u2029|\ufdfa|\U000e0001
\u202a\u202b|a\u0308|\u1160|\u061c|\u2066\u2069|\U0001f468\u200d\U0001f469|\u0345|\u0f3f"""
NUMBERS = """0|-0|+0|00|-1|+1|1e1|1e400|-1e400|1e-400|NaN|nan|Infinity|-Infinity|inf|0x10|0b1|0o7|1_000|1,000|1.0|1.|.1|1 | 1|1\t|2147483647|2147483648|-2147483648|-2147483649|4294967295|4294967296|9223372036854775807|9223372036854775808|-9223372036854775808
-9223372036854775809|18446744073709551615|18446744073709551616|99999999999999999999999999|1e999999999|\u0661\u0662|\uff11|\u00b2|1001|1000|1s|-1s|9999999999s|0s|true|null|undefined|2026-13-45|2026-02-30T00:00:00Z|0000-01-01|-infinity|infinity|now|epoch|294277-01-01
2026-01-01T25:00:00Z|2026-01-01T00:00:00+99:99|events:0:0|events:-1:0|events:0:-1|events:0:9223372036854775808|:0:0|events::|a:b:c|:::|events:0:0:0|00000000-0000-0000-0000-000000000000|zzzzzzzz-0000-0000-0000-000000000000|allballs|today"""
KINDS = (SQL, HEADER, PATH, HTML, UNICODE, NUMBERS)


def _known():
    """In turn from each kind, so that any part of them has all kinds."""
    # some have the separator in them: they come in two parts then
    kinds = [[s for s in kind.replace("\n", "|").split("|") if s] if kind is not HEADER else [s for s in kind.split("|") if s] for kind in KINDS]
    return [s for row in itertools.zip_longest(*kinds) for s in row if s is not None]


def strings(count=2000, seed=1):
    """So many, all different: those that are known, then these changed and put together."""
    chosen = random.Random(seed)
    known = _known()
    changes = (
        lambda s: s.upper(), lambda s: s.swapcase(), lambda s: s + " -- ", lambda s: "'" + s, lambda s: '"' + s + '"', lambda s: s.replace(" ", "/**/"),
        lambda s: s.replace(" ", "\t"), lambda s: s.replace("'", "\u2019"), lambda s: s.replace("'", "''"), lambda s: "\\" + s, lambda s: s * 2,
        lambda s: s[::-1], lambda s: s + "\u0000", lambda s: "eq." + s, lambda s: "in.(" + s + ")", lambda s: s.encode().hex(), lambda s: s + "\r\n", lambda s: (s * 200)[:400],
        lambda s: "".join(f"%{b:02x}" for b in s.encode())[:600], lambda s: chosen.choice(known) + s, lambda s: s + chosen.choice(known),
    )
    found = dict.fromkeys(known)
    while len(found) < count:
        found[chosen.choice(changes)(chosen.choice(known))] = None
    return list(found)[:count]
