"""The peer of the API's benchmark: a plain service on Spring Boot 3 and JDBC (spring/Peer.java), as it comes: Tomcat with 200
threads, a HikariCP pool of 10. The JVM has a small heap and the collector with the best throughput."""
import http.client
import os
import subprocess

from lib import paths
from lib.process import Process, free_port
from lib.wait import wait_for

HEAP = "256m"
HERE = os.path.dirname(os.path.abspath(__file__))


class Spring:
    """cluster: one with a TCP port; user: who reads."""

    def __init__(self, cluster, database, user):
        self.url = f"jdbc:postgresql://127.0.0.1:{cluster.tcp_port}/{database}"
        self.user, self.port, self.process = user, None, None
        self.log = os.path.join(paths.run_dir(), "spring.log")

    def start(self):
        classes = subprocess.run([os.path.join(HERE, "spring/fetch.sh"), os.path.join(paths.BUILD, "spring")], stdout=subprocess.PIPE, text=True)
        if classes.returncode != 0:
            raise SystemExit("bench-api: the Spring Boot service could not be built")
        self.port = free_port()
        self.process = Process(["java", f"-Xmx{HEAP}", "-XX:+UseParallelGC", "-cp", classes.stdout.strip(), "bench.Peer", f"--server.port={self.port}",
                                "--server.address=127.0.0.1", f"--spring.datasource.url={self.url}", f"--spring.datasource.username={self.user}",
                                "--logging.level.root=warn", "--spring.main.banner-mode=off"], self.log)
        wait_for(lambda: not self.process.alive() or self._answers(), "the Spring Boot service answers", 120)
        if not self.process.alive():
            raise SystemExit("bench-api: the Spring Boot service ended; " + self.process.tail())
        return self

    def _answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/events?limit=1&to=2030-01-01T00:00:00Z")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self):
        self.process.stop()
