"""A Docker daemon of our own, with its data below build/, and stand-ins for the official images, which it need not pull."""
import fcntl
import os
import shutil
import signal
import subprocess

from . import firewall, paths
from .broker import NoBroker, fetch
from .process import Process
from .wait import Timeout, wait_for

HERE = os.path.join(paths.ROOT, "tests/compose/standin")
DIR = os.path.join(paths.BUILD, "compose")
# Debian's, of the daemon's version, if there is another one too
PROGRAM = "/usr/bin/docker"
STANDINS = ("postgres", "kafka", "nginx", "prometheus", "alertmanager", "postgres-exporter", "docker")


class NoDocker(Exception):
    """The daemon or the images cannot be had on this machine; the text says why."""


def name_of(image):
    return f"standin/{image}:local"


class Docker:
    """Starts dockerd, and ends it with all that it runs; one at a time on a machine, as the firewall's chains have fixed names.
    With DOCKER_HOST it is the daemon there, on this machine."""

    def __init__(self):
        self.socket = os.environ.get("DOCKER_HOST") or f"unix://{DIR}/docker.sock"
        self.pid_file = os.path.join(DIR, "dockerd.pid")
        self.env = dict(os.environ, DOCKER_HOST=self.socket, DOCKER_CONFIG=os.path.join(DIR, "config"), DOCKER_BUILDKIT="1")
        self.process = self.lock = self.firewall = None

    def start(self):
        if os.environ.get("DOCKER_HOST"):
            if not self._answers():
                raise NoDocker(f"no daemon answers at DOCKER_HOST={self.socket}")
            return self
        for program in (PROGRAM, "dockerd", "containerd", "iptables"):
            if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
                raise NoDocker(f"{program} is not installed")
        if os.geteuid() != 0:
            raise NoDocker("dockerd needs root")
        os.makedirs(os.path.join(DIR, "config"), exist_ok=True)
        self._wait_for_others()
        self._end_left_over()
        if firewall.is_in_use():
            raise NoDocker("another Docker daemon runs here: stop it, or set DOCKER_HOST=unix:///var/run/docker.sock to use it")
        try:
            self.firewall = firewall.Firewall()
        except (OSError, subprocess.CalledProcessError) as e:
            raise NoDocker(f"the firewall cannot be read: {e}")
        log = os.path.join(DIR, "dockerd.log")
        self.process = Process(["dockerd", "--data-root", f"{DIR}/data", "--exec-root", f"{DIR}/exec", "--pidfile", self.pid_file,
                                "--host", self.socket], log, die_with_us=False)
        try:
            wait_for(lambda: self._answers() or not self.process.alive(), "dockerd answers", every=0.2)
        except Timeout as e:
            self.stop()
            raise NoDocker(f"{e}, log in {log}")
        if not self.process.alive():
            with open(log, errors="replace") as f:
                raise NoDocker(f"dockerd does not run here: {_last_line(f.read())} ({log})")
        return self

    def _wait_for_others(self):
        self.lock = open("/var/tmp/millrace-dockerd.lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def _end_left_over(self):
        """Of a run that was killed: its own daemon, known by its directory."""
        try:
            with open(self.pid_file) as f:
                pid = int(f.read())
            with open(f"/proc/{pid}/cmdline") as f:
                if f"{DIR}/data" not in f.read():
                    return
        except (OSError, ValueError):
            return
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon of an earlier run ends", every=0.2)
        firewall.Firewall().restore()

    def _answers(self):
        return self.run("version", check=False).returncode == 0

    def stop(self):
        """Its containers end with it, and its rules of the firewall."""
        if self.process:
            self.process.stop(60)
            self.process = None
            self.firewall.restore()
        if self.lock:
            self.lock.close()

    def run(self, *args, check=True, text=None, env=None, timeout=580):
        result = subprocess.run([PROGRAM, *args], env=dict(self.env, **(env or {})), input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, timeout=timeout)
        assert not check or result.returncode == 0, f"docker {' '.join(args)}: {result.stdout[-4000:]}"
        return result

    def make_standins(self):
        """Images with the names of name_of(), and the compose plugin of the same Debian."""
        base = self._base()
        context = os.path.join(DIR, "standin")
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(HERE, context)
        shutil.copy(os.path.join(paths.ROOT, "tests/kafka/log4j2.properties"), context)
        try:
            for jars in ("libs", "connect"):
                shutil.copytree(os.path.join(fetch("--connect"), jars), os.path.join(context, jars))
        except NoBroker as e:
            raise NoDocker(str(e))
        for image in STANDINS:
            self.run("build", "--quiet", "--target", image, "--build-arg", f"BASE={base}", "--tag", name_of(image), context)
        self._compose_plugin(base)

    def _base(self):
        script = subprocess.run([os.path.join(HERE, "base.sh")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if script.returncode != 0:
            raise NoDocker(script.stderr.strip())
        name = name_of("debian")
        archive = script.stdout.strip()
        made = str(int(os.stat(archive).st_mtime))  # an image of an older archive is made again
        if made not in self.run("image", "inspect", "--format", "{{.Config.Labels.made}}", name, check=False).stdout:
            self.run("import", "--change", f"LABEL made={made}", archive, name)
        self._probe(name)
        return name

    def _probe(self, base):
        """What the machine lacks is not a failure of the images: a container has to run, and to reach the mirror."""
        for command, what in ((["true"], "no container runs here"), (["apt-get", "update", "-q"], "containers reach no Debian mirror")):
            result = self.run("run", "--rm", base, *command, check=False)
            if result.returncode != 0:
                raise NoDocker(f"{what}: {_last_line(result.stdout)}")

    def _compose_plugin(self, base):
        """Debian 12 has the old docker-compose only; what people use is `docker compose`, which the next one has."""
        plugin = os.path.join(DIR, "config/cli-plugins/docker-compose")
        if os.path.exists(plugin):
            return
        os.makedirs(os.path.dirname(plugin), exist_ok=True)
        command = "apt-get update -q && cd /tmp && apt-get download -q docker-compose && dpkg -x docker-compose_*.deb x" \
                  " && cp x/usr/libexec/docker/cli-plugins/docker-compose /out/"
        self.run("run", "--rm", "--volume", f"{os.path.dirname(plugin)}:/out", base, "sh", "-c", command)


def _last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing"
