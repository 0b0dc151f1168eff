"""The status page, in a real browser on the real stack."""
import json
import os
import re
import signal

import pytest

from lib import browser as browsers
from lib.api import Api
from lib.browser import Browser
from lib.keys import Keys
from lib.page_world import BIG, ENTER, ESCAPE, HOSTILE, Page
from lib.wait import wait_for


@pytest.fixture(scope="module")
def page(cluster, broker):
    if browsers.missing():
        pytest.skip(browsers.missing())
    page = Page(cluster, broker)
    yield page
    page.close()


@pytest.fixture
def browser(page):
    browser = Browser(page.base)
    yield browser
    browser.close()


@pytest.mark.parametrize("path, files", (("/", 10), ("/docs", 4)))
def test_files(page, path, files):
    """All of the page comes from here, small, with a policy that lets nothing else run."""
    root = page.api.get(path)
    assert root.status == 200 and root.headers["content-type"] == "text/html; charset=utf-8"
    policy = root.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert root.headers["x-content-type-options"] == "nosniff"
    assert page.api.get(path, If_None_Match=root.headers["etag"]).status == 304
    text = root.body.decode()
    assert "<style" not in text and not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", text)
    total, todo, seen = len(root.body), set(re.findall(r'(?:src|href)="(/page/[^"]+)"', text)), set()
    while todo:
        path = todo.pop()
        seen.add(path)
        file = page.api.get(path)
        assert file.status == 200, path
        total += len(file.body)
        if path.endswith(".js"):
            todo |= {"/page/" + name for name in re.findall(r"from '\./([\w.]+)'", file.body.decode())} - seen
        assert not re.search(rb"""innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(""", file.body) or "uPlot" in path, path
        assert not re.search(rb"""https?://(?!www\.w3\.org)""", file.body.replace(b"https://github.com/leeoniya/uPlot", b"")), path
    assert len(seen) >= files and total < 150_000
    assert page.api.get("/page/nothing.js").status == 404


def test_docs(page, browser):
    """Each route of the document, with a command that works, from one page without anything of elsewhere."""
    document = page.api.get("/openapi.json").json()
    browser.open("/docs#getEvent")
    browser.wait_text("Schemas", "main")
    shown = browser.run("return [...document.querySelectorAll('section > h2')].map(h => h.textContent)")
    assert shown == [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    commands = browser.run("return [...document.querySelectorAll('section > pre')].map(p => p.textContent)")
    assert f"curl -H 'Authorization: Bearer KEY' {page.base}/pipelines" in commands
    assert "Prefer" in browser.text("#listEvents") and "scope operate" in browser.text("#getDeadLetter") and "needs no key" in browser.text("#getOpenapi")
    browser.shot("docs")
    assert browser.complaints() == []


def test_keys(page, tmp_path):
    """The page asks for a key where one is needed, again when it is wrong, and again when it is revoked, which ends its stream."""
    keys = Keys(str(tmp_path / "keys")).write(first="read")
    api = Api(page.db.dsn("web"), "--keys", keys.path).start()
    browser = Browser(f"http://127.0.0.1:{api.port}")

    def give(key):
        """To the dialog, once it is there and empty."""
        wait_for(lambda: browser.run("return document.getElementById('dialog').open && document.getElementById('field-key')?.value === ''"),
                 "a key is asked for", 30)
        browser.find("#field-key").send_keys(key)
        browser.click("#dialog button[value=yes]")

    try:
        browser.open()
        give(keys.text("wrong"))
        wait_for(lambda: api.metric("millrace_api_requests_total", route="GET /events/all", status="4xx") >= 2, "without a key, and with the wrong one", 30)
        assert browser.text("#connection") != "live" and page.pipeline_name not in browser.text("main")
        # it is not sent again and again, which would count as guessing
        wait_for(lambda: browser.run("return sessionStorage.getItem('millrace-key')") is None, "the wrong key is forgotten", 30)
        give(keys.text("first"))
        browser.wait_text("live", "#connection", 30)
        browser.wait_text(page.pipeline_name, "main", 30)
        wait_for(lambda: api.metric("millrace_api_streams") == 1, "one stream", 30)
        # for this tab alone, and in no address
        kept = "return location.href + document.cookie + JSON.stringify({...localStorage}) + performance.getEntries().map(e => e.name).join()"
        assert keys.text("first") not in browser.run(kept)
        keys.write(second="read")
        os.kill(api.process.pid, signal.SIGHUP)
        wait_for(lambda: api.metric("millrace_api_streams_revoked_total") >= 1, "its stream is closed", 30)
        give(keys.text("second"))
        browser.wait_text("live", "#connection", 30)
        wait_for(lambda: api.metric("millrace_api_streams") == 1, "one stream", 30)
    finally:
        browser.close()
        api.kill()


def test_overview_and_pipeline(page, browser):
    browser.open()
    browser.wait_text("live", "#connection")
    browser.wait_text("running", "table")
    browser.wait_text(page.pipeline_name, "table")
    browser.wait_text("4", f"#letters-{page.pipeline_name}")
    browser.shot("overview")
    browser.click(f"#to-{page.pipeline_name}")
    for part in ("Partitions", "Workers", "Lanes", "Events by type"):
        browser.wait_text(part, "main")
    browser.wait_text("by_minute", "main")
    browser.wait_text(f"{page.topic} 1", "main")
    wait_for(lambda: browser.run("return document.querySelectorAll('.plot canvas').length") == 3, "three charts")
    wait_for(lambda: "settled" in browser.run("return document.querySelector('.plot').getAttribute('aria-label')"), "charts are described")
    browser.shot("pipeline")
    assert browser.complaints() == []


def test_statistics_arrive_by_themselves(page, browser):
    browser.open()
    browser.wait_text("live", "#connection")
    wait_for(lambda: browser.text(f"#letters-{page.pipeline_name}") != "", "the table is there")
    before = int(browser.text(f"#letters-{page.pipeline_name}"))
    page.send("no json")
    wait_for(lambda: int(browser.text(f"#letters-{page.pipeline_name}")) == before + 1, "the new dead letter is counted")


def test_pause_and_resume(page, browser):
    browser.open(f"/#/pipelines/{page.pipeline_name}")
    browser.wait_text("running", "main")
    buttons = {b.text: b for b in browser.driver.find_elements("css selector", ".actions button")}
    buttons["Pause"].click()
    browser.wait_text("The batch in flight is finished", "#dialog")
    browser.press(ESCAPE)
    assert page.db.value("SELECT status FROM millrace.pipelines") == "running"
    buttons["Pause"].click()
    browser.click("#dialog button[value=yes]")
    browser.wait_text("paused", "main")
    buttons["Resume"].click()
    browser.click("#dialog button[value=yes]")
    browser.wait_text("running", "main")


def test_dead_letters(page, browser):
    """From the kinds of failure to a letter, and back into the pipeline: with a preview, a confirmation, an edited payload."""
    browser.open("/#/letters")
    browser.wait_text("Kinds of failure", "main")
    browser.shot("letters")
    group = page.db.run("SELECT fingerprint, count FROM millrace.dead_letter_groups WHERE message LIKE '%%double%%' OR message LIKE '%%number%%' ORDER BY count DESC LIMIT 1")[0]
    browser.click(f'a[href*="{group[0]}"]')
    browser.wait_text("page:0:1", "main")
    # a replay that fails again
    browser.click("#replay")
    letters = f"{group[1]} dead letter{'s' if group[1] > 1 else ''}"
    browser.wait_text(f"Replay {letters}?", "#dialog")
    browser.click("#dialog button[value=yes]")
    browser.wait_text(f"Being replayed: {letters}.", "main")
    wait_for(lambda: page.letters("replaying") == 0 and page.letters("open") > 0, "they failed again")
    # one, with another payload
    letter = page.db.value("SELECT id FROM millrace.dead_letters WHERE \"offset\" = 1")
    browser.open(f"/#/letters/{letter}")
    browser.wait_text("calm", "#payload")
    browser.shot("letter")
    browser.click("#edit")
    browser.find("#field-payload")
    browser.run("document.querySelector('#field-payload').value = arguments[0]", json.dumps(page.good))
    browser.click("#dialog button[value=yes]")
    browser.wait_text("edited payload", "main")
    wait_for(lambda: page.letters("replayed") == 1, "it was replayed")
    # another is discarded, with a reason
    letter = page.db.value("SELECT id FROM millrace.dead_letters WHERE \"offset\" = 2")
    browser.open(f"/#/letters/{letter}")
    browser.wait_text("calm", "#payload")
    browser.click("#discard")
    browser.find("#field-reason").send_keys("not wanted")
    browser.click("#dialog button[value=yes]")
    wait_for(lambda: page.letters("discarded") == 1, "it was discarded")
    assert page.db.value("SELECT reason FROM millrace.dead_letter_actions WHERE verb = 'discard'") == "not wanted"
    assert browser.complaints() == []


def test_letter_in_full(page, browser):
    """Headers as they came, markup and all; each try, where it was published, and how it ended."""
    page.send(json.dumps(dict(page.good, ts="never")), key="full", headers=[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("note", HOSTILE)])

    def row(columns):
        rows = page.db.run(f"SELECT {columns} FROM millrace.dead_letters WHERE key = 'full'")
        return rows[0] if rows else [None]

    def timeline():
        return browser.run("return [...document.querySelectorAll('section[aria-label=Timeline] li')].map(i => i.textContent)")

    wait_for(lambda: row("published_at")[0] is not None, "it is published")
    letter, headers, sqlstate, message, partition, offset = row("id, headers, sqlstate, message, dlq_partition, dlq_offset")
    browser.open(f"/#/letters/{letter}")
    browser.wait_text("never", "#payload")
    shown = json.loads(browser.run("return [...document.querySelectorAll('h2')].find(h => h.textContent === 'Headers').nextElementSibling.textContent"))
    assert shown == headers and shown["note"] == HOSTILE
    tried, dead, published = timeline()
    assert f" {sqlstate} {message}" in tried and dead.endswith("dead after 1 try")
    assert published.endswith(f"published to the dead-letter topic, partition {partition}, offset {offset}")
    # what fails again is a try more
    browser.click("#replay")
    browser.wait_text("Replay 1 dead letter?", "#dialog")
    browser.click("#dialog button[value=yes]")
    wait_for(lambda: row("state, attempts") == ("open", 2), "it failed again")
    # the page follows what is being replayed
    wait_for(lambda: sum(f" {sqlstate} {message}" in line for line in timeline()) == 2 and any(line.endswith("dead after 2 tries") for line in timeline()), "both tries")
    browser.click("#discard")
    browser.find("#field-reason").send_keys("seen")
    browser.click("#dialog button[value=yes]")
    wait_for(lambda: timeline() and timeline()[-1].endswith(" discarded"), "the end of it")
    assert row("state") == ("discarded",) and browser.run("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.complaints() == []


def test_discard_of_a_group(page, browser):
    """After a preview and with a reason: all that are open of that kind, and no other."""
    page.send(*(json.dumps(dict(page.good, value=2, unit=None)) for _ in range(3)), key="group")
    wait_for(lambda: page.db.value("SELECT count(*) FROM millrace.dead_letters WHERE key = 'group'") == 3, "they have failed")
    ((fingerprint,),) = page.db.run("SELECT DISTINCT fingerprint FROM millrace.dead_letters WHERE key = 'group'")
    assert page.db.value("SELECT count FROM millrace.dead_letter_groups WHERE fingerprint = %s", (fingerprint,)) == 3
    states = "SELECT id, state FROM millrace.dead_letters WHERE (key = 'group') IS %s TRUE ORDER BY id"
    others = page.db.run(states % "NOT")

    def group():
        return [state for _, state in page.db.run(states % "")]

    browser.open("/#/letters")
    browser.click(f'a[href*="{fingerprint}"]')
    browser.wait_text("Dead letters of a kind", "main")
    wait_for(lambda: browser.text("main table").count("open") == 3, "three letters")
    # the preview, and no
    browser.click("#discard")
    browser.wait_text("Discard 3 dead letters?", "#dialog")
    browser.press(ESCAPE)
    wait_for(lambda: not browser.run("return document.getElementById('dialog').open"), "the question has gone")
    # nor without a reason
    browser.click("#discard")
    browser.wait_text("Discard 3 dead letters?", "#dialog")
    browser.click("#dialog button[value=yes]")
    assert browser.run("return document.getElementById('dialog').open && document.activeElement.id") == "field-reason"
    assert group() == ["open"] * 3 and page.db.value("SELECT count(*) FROM millrace.dead_letter_actions WHERE reason = 'all of them'") == 0
    browser.find("#field-reason").send_keys("all of them")
    browser.shot("discard")
    browser.click("#dialog button[value=yes]")
    browser.wait_text("Discarded: 3 dead letters.", "main")
    wait_for(lambda: browser.text("main table").count("discarded") == 3, "the list has it")
    assert group() == ["discarded"] * 3 and page.db.run(states % "NOT") == others
    assert page.db.run("SELECT verb, count FROM millrace.dead_letter_actions WHERE reason = 'all of them'") == [("discard", 3)]
    assert browser.complaints() == []


def test_open_breaker(page, browser):
    """Why nothing is written is on the page of the pipeline while it is so, and in the overview."""
    badge = f"return document.querySelector('#to-{page.pipeline_name}')?.closest('tr').lastElementChild.innerText"
    section = "return document.querySelector('section[aria-label=Breaker]')?.textContent ?? ''"
    browser.open(f"/#/pipelines/{page.pipeline_name}")
    browser.wait_text("Lag", "main")
    assert browser.run(section) == ""
    page.db.run("CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END $$;"
                " CREATE TRIGGER fill BEFORE INSERT ON reading FOR EACH ROW EXECUTE FUNCTION fill()")
    try:
        # several, so that it is no event's fault
        page.send(*(json.dumps(dict(page.good, id=f"00000000-0000-4000-8000-{i:012}")) for i in range(100, 150)))
        wait_for(lambda: page.db.value("SELECT state FROM millrace.breakers") == "open", "it is open")
        wait_for(lambda: all(part in browser.run(section) for part in ("The breaker is open", "53100", "Since", "Next probe")), "the breaker is shown")
        wait_for(lambda: "breaker open" in browser.text("main"), "the state of the pipeline is, too")
        browser.shot("breaker")
        browser.open()
        wait_for(lambda: browser.run(badge) in ("open", "half_open"), "in the overview")
        browser.open(f"/#/pipelines/{page.pipeline_name}")
        wait_for(lambda: "53100" in browser.run(section), "it is still shown")
    finally:
        page.db.run("DROP TRIGGER fill ON reading; DROP FUNCTION fill()")
    wait_for(lambda: browser.run(section) == "", "it is closed")
    browser.wait_text("running", "main")
    assert browser.complaints() == []


def test_look_up(page, browser):
    """The form takes a coordinate or an id, says what it does not find, and its answers have addresses of their own."""
    def look_up(text, *keys):
        field = browser.find("#event-id")
        field.clear()
        field.send_keys(text, *keys)

    browser.open()
    browser.wait_text("live", "#connection")
    browser.click('nav a[href="#/events"]')
    look_up(" page:0:0 ", ENTER)
    browser.wait_text("In pipeline page", "section[aria-label='Status in page']")
    browser.wait_text(str(BIG), "section[aria-label=Row]")
    assert "processed" in browser.text("section[aria-label='Status in page']") and browser.run("return location.hash") == "#/events/page%3A0%3A0"
    dead = page.db.value("SELECT min(\"offset\") FROM millrace.dead_letters WHERE partition = 0")
    look_up(f"page:0:{dead}")
    browser.click("main form button")
    browser.wait_text("dead", "section[aria-label='Status in page'] ol")
    browser.wait_text("Row: ", "main")
    look_up("nothing:0:0", ENTER)
    browser.wait_text("Status: ", "main")
    assert "Row: " in browser.text("main") and browser.run("return document.querySelectorAll('main section').length") == 0
    look_up(str(BIG), ENTER)
    browser.wait_text(HOSTILE, "section[aria-label=Row]")
    browser.driver.back()
    browser.wait_text("Status: ", "main")
    assert browser.run("return document.getElementById('event-id').value") == "nothing:0:0"


def test_lost_connection(page, browser):
    browser.open()
    browser.wait_text("live", "#connection")
    page.api.process.signal(signal.SIGSTOP)
    try:
        browser.wait_text("connection lost", "#connection")
        browser.shot("lost")
    finally:
        page.api.process.signal(signal.SIGCONT)
    browser.wait_text("live", "#connection")
