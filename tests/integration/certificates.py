"""Certificates for tests: authorities, what they sign, and the options that name the files."""

import os
import subprocess

import lab

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")


def openssl(*args, **kwargs):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=60, **kwargs).stdout


class Certificate:
    """NAME.pem and NAME.key in a folder."""

    def __init__(self, folder, name):
        self.name = name
        self.folder = folder
        self.cert = os.path.join(folder, name + ".pem")
        self.key = os.path.join(folder, name + ".key")

    def options(self):
        return f"cert={self.cert},key={self.key}"

    def fingerprint(self):
        """As openssl prints it, with colons."""
        line = openssl("x509", "-in", self.cert, "-noout", "-fingerprint", "-sha256").decode()
        return line.strip().split("=")[1]

    def hex(self):
        return self.fingerprint().replace(":", "").lower()


class Authority(Certificate):
    """Signs itself, and others."""

    def __init__(self, folder, name="authority", kind=EC, alternative=None):
        lab.need("openssl")
        super().__init__(folder, name)
        extension = ("-addext", "subjectAltName=" + alternative) if alternative else ()
        openssl("req", "-x509", *kind, "-nodes", "-days", "2", "-subj", "/CN=" + name, "-keyout", self.key, "-out",
                self.cert, *extension)

    def sign(self, name, alternative=None, kind=EC, file=None, days=2, password=None):
        """A certificate for CN=`name`, and for what `alternative` says (DNS:..., IP:...); in files called `file`. One
        that has expired has `days` of -1."""
        made = Certificate(self.folder, file or name)
        request = os.path.join(self.folder, made.name + ".csr")
        extensions = os.path.join(self.folder, made.name + ".ext")
        with open(extensions, "w") as f:
            f.write(f"subjectAltName={alternative}\n" if alternative else "")
        secret = ("-passout", "pass:" + password) if password else ("-nodes",)
        openssl("req", *kind, *secret, "-subj", "/CN=" + name, "-keyout", made.key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", made.cert)
        return made
