"""Commands in a hint, run as a user would paste them."""
import re


def commands_of(text):
    """Each call of a function of schema millrace up to its semicolon, without those that have a blank to fill in."""
    return [c for c in re.findall(r"SELECT (?:\* FROM )?millrace\.[^;]*;", text or "") if "…" not in c]


def run_commands(session, text):
    for command in commands_of(text):
        session.run(command.replace("%", "%%"))
