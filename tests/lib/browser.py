"""Debian's Chromium without a window, driven by Selenium."""
import os
import shutil

from . import paths
from .wait import LIMIT, wait_for

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
except ImportError:
    webdriver = None

SHOTS = os.path.join(paths.BUILD, "screenshots")


def missing():
    """What is not installed, None when a browser can be started."""
    if webdriver is None:
        return "python3-selenium is not installed: run make deps"
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return "chromium or chromium-driver is not installed: run make deps"
    return None


class Browser:
    def __init__(self, base, width=1280, height=900, dark=False):
        options = Options()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                         f"--window-size={width},{height}", f"--user-data-dir={paths.make_dir(f'chromium-{os.urandom(4).hex()}', 0o777)}"):
            options.add_argument(argument)
        if dark:
            options.add_argument("--force-dark-mode")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.base = base
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
        if dark:
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})

    def open(self, address="/"):
        self.driver.get(self.base + address)

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def text(self, selector="body"):
        """What is seen of it: innerText of what is not rendered, such as a closed dialog, is all of its text."""
        return self.run("const e = document.querySelector(arguments[0]); return e?.getClientRects().length ? e.innerText : ''", selector)

    def wait_text(self, wanted, selector="body", timeout=LIMIT):
        try:
            wait_for(lambda: wanted in self.text(selector), f"the page says {wanted!r}", timeout)
        except AssertionError as e:
            raise AssertionError(f"{e}; it says {self.text(selector)[:2000]!r}; {self.complaints()}")

    def find(self, selector):
        return wait_for(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), selector)[0]

    def click(self, selector):
        self.find(selector).click()

    def press(self, *keys):
        """Keys to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def complaints(self):
        """What the browser has written to its console as errors since it was asked last."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]

    def shot(self, name):
        os.makedirs(SHOTS, exist_ok=True)
        self.driver.save_screenshot(os.path.join(SHOTS, f"{name}.png"))

    def close(self):
        self.driver.quit()
