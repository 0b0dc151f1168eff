"""psql's sessions as a page of the documentation prints them: what was typed, and what came out."""
import os
import re
import subprocess

from . import paths
from .cluster import bin_dir

PROMPT = "=> "


def sections(page):
    """{heading: text} of a page in docs/; what is below a smaller heading belongs to the one above it."""
    with open(os.path.join(paths.ROOT, "docs", page), encoding="utf-8") as f:
        return {part.splitlines()[0]: part for part in f.read().split("\n## ")[1:]}


def blocks(text):
    """[(language, text)] of its code blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def typed(text):
    """[(statement, lines printed)] of a block; what is only about the clock is left out."""
    found = []
    for line in text.splitlines():
        if line.startswith(PROMPT):
            found.append([line[len(PROMPT):], []])
        elif found and not found[-1][0].rstrip().endswith(";") and not found[-1][0].startswith("\\"):
            found[-1][0] += "\n" + line
        elif found and line.strip() and not line.startswith("Time: "):
            found[-1][1].append(line.rstrip())
    return [(statement, lines) for statement, lines in found if statement != "\\timing on"]


def statements(text):
    """Of a block of SQL that is not a session."""
    return [s.strip() for s in re.split(r";\s*(?:--.*)?$", text, flags=re.M) if re.sub(r"--.*", "", s).strip()]


def psql(db, user, sql):
    """What it prints, in lines."""
    result = subprocess.run([os.path.join(bin_dir(), "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-P", "footer=off", "-d", db.dsn(user)], input=sql, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PGCLIENTENCODING="UTF8"), check=False)
    assert result.returncode == 0, f"{sql}: {result.stdout}"
    return [line.rstrip() for line in result.stdout.splitlines() if line.strip()]


def matches(printed, expected):
    """A line "…" is for any number of them."""
    if not expected:
        return not printed
    if expected[0].strip() == "…":
        return any(matches(printed[i:], expected[1:]) for i in range(len(printed) + 1))
    return bool(printed) and printed[0] == expected[0] and matches(printed[1:], expected[1:])
