"""A broker with a TLS listener (a certificate of its own), one that asks for a password, and access rules."""
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


class SecureBroker(Broker):
    def __init__(self, name):
        both, self.certificate = certificate(name, paths.run_dir())
        super().__init__(name, listeners=("SSL", "SASL_PLAINTEXT"), properties={
            "ssl.keystore.type": "PEM", "ssl.keystore.location": both, "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config":
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS", "allow.everyone.if.no.acl.found": "true"})
