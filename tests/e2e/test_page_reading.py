"""How the status page reads: by eye, by keyboard, by a screen reader, on a phone, in the dark, while its figures change."""
import json

import pytest

from lib import browser as browsers
from lib.browser import Browser
from lib.page_world import BIG, ENTER, HOSTILE, TAB, Page
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


def test_payloads_are_text(page, browser):
    """Markup in a payload, a key, a row is shown, and never runs; numbers keep all their digits."""
    letter = page.db.value("SELECT id FROM millrace.dead_letters WHERE payload LIKE '<img%%'")
    browser.open(f"/#/letters/{letter}")
    browser.wait_text(HOSTILE, "#payload")
    browser.open(f"/#/events/{BIG}")
    browser.wait_text(str(BIG), "main")
    browser.wait_text(HOSTILE, "main")
    facts = dict(browser.run("return [...document.querySelectorAll('section[aria-label=Row] dl > div')].map(d => [...d.children].map(c => c.textContent))"))
    assert (facts["id"], facts["price"], facts["doc"]) == (str(BIG), "12345678901234567890.50", f'{{"n":"{BIG}","of":[1.5,"7.0"]}}')
    browser.open("/#/events/page:0:0")
    browser.wait_text("In pipeline page", "main")
    browser.wait_text(HOSTILE, "main")
    browser.shot("event")
    assert "run" != browser.driver.title and browser.run("return document.querySelectorAll('main img, main script').length") == 0


def test_keyboard_and_names(page, browser):
    """All that can be done is reached by Tab, in order, and has a name for a screen reader."""
    browser.open("/#/letters")
    browser.wait_text("Kinds of failure", "main")
    reached = []
    for _ in range(40):
        browser.press(TAB)
        name = browser.run("const e = document.activeElement; return e === document.body ? '' : (e.getAttribute('aria-label') || e.innerText || e.id)")
        if name in reached:
            break
        reached.append(name)
    assert reached[:3] == ["Skip to the content", "Millrace", "Pipelines"]
    browser.open("/docs")
    browser.open("/#/letters")
    browser.wait_text("Kinds of failure", "main")
    browser.press(TAB)
    browser.press(ENTER)
    assert browser.run("return [document.activeElement.id, location.hash]") == ["main", "#/letters"] and "Kinds of failure" in browser.text("main")
    assert "Key" in reached and any("Kinds of failure" in name for name in reached)
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    for node in tree:
        if node.get("role", {}).get("value") in ("link", "button", "textbox", "img", "dialog", "table") and not node.get("ignored"):
            assert node.get("name", {}).get("value"), node
    roles = {node.get("role", {}).get("value") for node in tree}
    assert {"banner", "navigation", "main", "status"} <= roles


def test_by_keyboard_alone(page, browser):
    """From the first view to a kind of failure, and its discard: Tab, Enter and the words of the reason."""
    page.send(*(json.dumps(dict(page.good, source=None)) for _ in range(2)), key="keyboard")
    wait_for(lambda: page.db.value("SELECT count(*) FROM millrace.dead_letters WHERE key = 'keyboard'") == 2, "they have failed")
    ((message, fingerprint),) = page.db.run("SELECT DISTINCT message, fingerprint FROM millrace.dead_letters WHERE key = 'keyboard'")

    def go_to(what):
        """By Tab until it has the focus."""
        for _ in range(60):
            browser.press(TAB)
            if browser.run("const e = document.activeElement; return e.id === arguments[0] || e.textContent === arguments[0]", what):
                return
        raise AssertionError(f"Tab does not lead to {what!r}")

    browser.open()
    browser.wait_text("live", "#connection")
    go_to("Dead letters")
    browser.press(ENTER)
    browser.wait_text(message, "main")
    assert browser.run("return document.activeElement.id") == "main"
    go_to(message)
    browser.press(ENTER)
    wait_for(lambda: fingerprint in browser.run("return location.hash") and browser.text("main table").count("open") == 2, "the letters of that kind")
    go_to("discard")
    browser.press(ENTER)
    browser.wait_text("Discard 2 dead letters?", "#dialog")
    browser.press("by keyboard", ENTER)
    browser.wait_text("Discarded: 2 dead letters.", "main")
    assert page.db.run("SELECT verb, count FROM millrace.dead_letter_actions WHERE reason = 'by keyboard'") == [("discard", 2)]
    assert browser.run("return document.activeElement.id") == "discard"


def test_what_the_reader_has_begun_stays(page):
    """New statistics come each second: what is scrolled, unfolded, or about to be clicked is not made again for them."""
    browser = Browser(page.base, width=360)

    def turns(*parts):
        """Waits until the page has asked, and been given, several times more."""
        counts = [("millrace_api_requests_total", dict(route=f"GET {part}", status="2xx")) for part in parts]
        before = [page.api.metric(name, **labels) for name, labels in counts]
        settled = browser.text(f"#letters-{page.pipeline_name}")
        page.send("no json")
        wait_for(lambda: all(page.api.metric(name, **labels) >= b + 2 for (name, labels), b in zip(counts, before)), "it is asked for again")
        return settled

    try:
        browser.open()
        browser.wait_text("live", "#connection")
        wait_for(lambda: browser.text(f"#letters-{page.pipeline_name}") != "" and browser.text("main [aria-live]") != "", "the parts are there")
        browser.run("window.kept = [...document.querySelectorAll('main a, main .scroll')]; document.querySelector('main .scroll').scrollLeft = 100;"
                    " window.said = document.querySelector('main [aria-live]').textContent; window.spoken = 0;"
                    " new MutationObserver(() => { const now = document.querySelector('main [aria-live]').textContent;"
                    " window.spoken += now === window.said; window.said = now; }).observe(document.querySelector('main [aria-live]'),"
                    " {subtree: true, childList: true, characterData: true, attributes: true})")
        letters = turns("/doctor", "/pipelines")
        wait_for(lambda: browser.text(f"#letters-{page.pipeline_name}") != letters, "the figures are new")
        assert browser.run("return [window.kept.every(e => e.isConnected), document.querySelector('main .scroll').scrollLeft]") == [True, 100]
        assert browser.run("return window.spoken") == 0, "a screen reader would read out again what has not changed"
        browser.open(f"/#/pipelines/{page.pipeline_name}")
        browser.click("summary")
        turns("/pipelines/{name}/state")
        assert browser.run("return document.querySelector('details').open")
        assert browser.complaints() == []
    finally:
        browser.close()


def test_addresses(page, browser):
    """The view that is open is marked in the navigation; one that is not there says so; no address breaks the page."""
    current = "return [...document.querySelectorAll('nav a[aria-current]')].map(a => a.textContent)"
    for path, link in (("", "Pipelines"), ("#/", "Pipelines"), (f"#/pipelines/{page.pipeline_name}", "Pipelines"), ("#/letters", "Dead letters"),
                       ("#/letters/list?pipeline=page", "Dead letters"), ("#/letters/999999", "Dead letters"), ("#/events", "Look up an event"), ("#/events/page:0:0", "Look up an event")):
        browser.open("/docs")
        browser.open("/" + path)
        wait_for(lambda: browser.run("return document.querySelector('main h1, main .error') !== null"), "the view is there")
        assert browser.run(current) == [link], path
    browser.open("/#/pipelines/nothing")
    browser.wait_text("There is no such pipeline. GET /pipelines lists them.", "main")
    browser.open("/#/letters/%")
    wait_for(lambda: browser.run("return document.querySelector('main .error') !== null"), "there is no such letter")
    browser.open(f"/#/letters/list?pipeline={page.pipeline_name}")
    browser.wait_text(f"Dead letters of {page.pipeline_name}", "main")
    wait_for(lambda: browser.run("return document.querySelectorAll('main tbody tr').length") == page.db.value("SELECT count(*) FROM millrace.dead_letters"), "all of its letters")


# Words of cells that are broken in the middle, but of those that may be long
BROKEN = """
    const broken = [];
    for (const cell of document.querySelectorAll('th, td')) {
        if (cell.matches('tbody .text') || !cell.getClientRects().length) continue;
        const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
        while (texts.nextNode())
            for (const word of texts.currentNode.data.matchAll(/[^\\s-]+/g)) {
                const range = document.createRange();
                range.setStart(texts.currentNode, word.index);
                range.setEnd(texts.currentNode, word.index + word[0].length);
                if (new Set([...range.getClientRects()].map(r => r.top)).size > 1) broken.push(word[0]);
            }
    }
    return broken;
""".replace("\\\\", "\\")


@pytest.mark.parametrize("name, width, dark", [("phone", 390, False), ("small", 320, True), ("dark", 1280, True)])
def test_on_a_phone_and_in_the_dark(page, name, width, dark):
    """Nothing is wider than the screen, however long a word is, but tables, which scroll by themselves; no word of these is broken."""
    page.send(json.dumps(dict(page.good, value="x" * 600)), key="k" * 300, headers=[("h" * 80, "v" * 400)])
    wait_for(lambda: page.db.value("SELECT count(*) FROM millrace.dead_letters WHERE key LIKE 'kkk%%'") > 0, "it has failed")
    letter, offset = page.db.run("SELECT id, \"offset\" FROM millrace.dead_letters WHERE key LIKE 'kkk%' LIMIT 1")[0]
    browser = Browser(page.base, width=width, dark=dark)
    try:
        for path in ("/", f"/#/pipelines/{page.pipeline_name}", "/#/letters", f"/#/letters/list?pipeline={page.pipeline_name}", f"/#/letters/{letter}",
                     f"/#/events/page:0:{offset}", "/#/events/page:0:0", "/docs"):
            browser.open(path)
            if path != "/docs":
                browser.wait_text("live", "#connection")
            wait_for(lambda: browser.run("return document.querySelector('main h1') !== null && !document.querySelector('main').textContent.includes('loading')"), "the view is there")
            wait_for(lambda: not path.startswith("/#/events/") or browser.run("return document.querySelectorAll('main section li').length > 0"), "and its parts")
            # the window of a phone becomes as wide as what does not fit into it
            assert browser.run("return document.documentElement.scrollWidth") <= width, path
            assert browser.run(BROKEN) == [], path
        back = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (back != "rgb(255, 255, 255)") == dark
        browser.open(f"/#/pipelines/{page.pipeline_name}")
        browser.wait_text("Partitions", "main")
        browser.shot(name)
    finally:
        browser.close()
