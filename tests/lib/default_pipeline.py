"""The default pipeline of migrations/events in a database of its own: changes as sqitch would deploy them."""
import os
import re

from . import paths

MIGRATIONS = os.path.join(paths.ROOT, "migrations/events")


def changes():
    with open(os.path.join(MIGRATIONS, "sqitch.plan"), encoding="utf-8") as f:
        return re.findall(r"^(\w+) .*<", f.read(), re.M)


def run_change(db, verb, change):
    with open(os.path.join(MIGRATIONS, verb, change + ".sql"), encoding="utf-8") as f:
        db.run(f.read())


def deploy(db):
    for change in changes():
        run_change(db, "deploy", change)
        run_change(db, "verify", change)
