"""The clocks of a server under test: its wall clock can be set, and the one that nobody sets can be later than it is."""
import os
import struct
import subprocess
import time

from lib import paths


class Clock:
    """For all processes of the servers that are started by its wrapper."""

    def __init__(self):
        self.file = os.path.join(paths.run_dir(), "clock-offset")
        self.wall = self.ahead = 0
        self.set(0)
        self.library = os.path.join(paths.run_dir(), "set_clock.so")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-O1", "-fPIC", "-shared", "-o", self.library, os.path.join(paths.ROOT, "tests/lib/set_clock.c")],
                       check=True)
        os.chmod(self.library, 0o755)

    def set(self, seconds):
        """What the wall clock is off by."""
        self.wall = seconds
        self._write()

    def pass_by(self, seconds):
        """So much time passes at once, on the clock of durations."""
        self.ahead += seconds
        self._write()

    def now(self):
        """Of the clock of durations, in seconds."""
        return time.clock_gettime(time.CLOCK_MONOTONIC) + self.ahead

    def _write(self):
        with open(self.file, "r+b" if os.path.exists(self.file) else "wb") as f:
            f.write(struct.pack("=qq", self.wall, self.ahead))
        os.chmod(self.file, 0o644)

    def wrapper(self):
        return "env", f"LD_PRELOAD={self.library}", f"CLOCK_FILE={self.file}"
