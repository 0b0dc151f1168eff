"""Certificates; and a broker with a TLS listener, one that asks for a password, and access rules."""
import os
import subprocess

from . import paths
from .broker import Broker

USER, PASSWORD = "reader", "reader-secret"


def certificate(name, directory):
    """A self-signed certificate for 127.0.0.1: (file with key and certificate, file with the certificate)."""
    key, cert, both = (os.path.join(directory, f"{name}.{end}") for end in ("key", "crt", "pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert,
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
    with open(both, "w") as out:
        for file in (key, cert):
            with open(file) as f:
                out.write(f.read())
    return both, cert


class Authority:
    """Signs certificates for 127.0.0.1 and localhost; `file` is its own, for clients to trust."""

    def __init__(self, directory):
        self.directory, self.count = str(directory), 0
        self.key, self.file = self.path("ca.key"), self.path("ca.crt")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-keyout", self.key, "-out", self.file, "-subj", "/CN=authority",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python from 3.13 on asks for it, as RFC 5280 does

    def path(self, name):
        return os.path.join(self.directory, name)

    def issue(self, name, days=2):
        """(file with the certificate, file with its key); days below 1: it has expired."""
        self.count += 1
        certificate, key, request, names = (self.path(f"{name}.{end}") for end in ("crt", "key", "csr", "names"))
        with open(names, "w") as f:
            f.write("subjectAltName=IP:127.0.0.1,DNS:localhost\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
                 "-subj", f"/CN={name}")
        if days < 1:
            self._issue_expired(request, certificate)
        else:
            _openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-set_serial", str(self.count),
                     "-days", str(days), "-extfile", names, "-out", certificate)
        return certificate, key

    def _issue_expired(self, request, certificate):
        """Only `openssl ca` takes dates in each version."""
        config = self.path("ca.conf")
        with open(config, "w") as f:
            f.write(f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.path('index')}\nserial={self.path('serial')}\nnew_certs_dir={self.directory}\n"
                    f"certificate={self.file}\nprivate_key={self.key}\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n")
        for name, text in (("index", ""), ("serial", "0100\n")):
            with open(self.path(name), "w") as f:
                f.write(text)
        _openssl("ca", "-batch", "-config", config, "-startdate", "200101000000Z", "-enddate", "200102000000Z", "-in", request, "-out", certificate)


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL)


class SecureBroker(Broker):
    def __init__(self, name):
        both, self.certificate = certificate(name, paths.run_dir())
        super().__init__(name, listeners=("SSL", "SASL_PLAINTEXT"), properties={
            "ssl.keystore.type": "PEM", "ssl.keystore.location": both, "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config":
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS", "allow.everyone.if.no.acl.found": "true"})
