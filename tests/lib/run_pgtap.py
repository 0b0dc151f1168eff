#!/usr/bin/python3
"""Runs tests/sql/*.sql with pg_prove on a cluster of its own, each file in a database of its own."""
import glob
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lib import paths  # noqa: E402
from lib.cluster import Cluster  # noqa: E402


def main():
    files = sys.argv[1:] or sorted(glob.glob(os.path.join(paths.ROOT, "tests/sql/*.sql")))
    cluster = Cluster("pgtap").init().start()
    try:
        failed = 0
        total = 0
        for file in files:
            name = os.path.splitext(os.path.basename(file))[0]
            database = cluster.create_database(name)
            database.run("CREATE EXTENSION pgtap")
            result = subprocess.run(["pg_prove", "-Q" if len(files) > 1 else "-v", "-h", cluster.dir, "-p", cluster.port, "-U", "postgres",
                                     "-d", name, os.path.abspath(file)], cwd=os.path.dirname(os.path.abspath(file)),
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            tests = next((int(line.split("Tests=")[1].split(",")[0]) for line in result.stdout.splitlines()
                          if line.startswith("Files=")), 0)
            total += tests
            print(f"{name}: {tests} tests {'ok' if result.returncode == 0 else 'FAILED'}", flush=True)
            if result.returncode != 0:
                failed += 1
                print(result.stdout, flush=True)
            database.drop()
        print(f"Files={len(files)}, Tests={total}, failed files {failed}")
        if failed:
            print("\n".join(cluster.log_text().splitlines()[-40:]))
        return 1 if failed else 0
    finally:
        cluster.stop("immediate")


if __name__ == "__main__":
    sys.exit(main())
