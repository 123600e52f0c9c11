import logging
import socketserver
import threading

import pytest

from tinybase.auth.mail import Mailer, transport
from tinybase.config import load
from tinybase.errors import ConfigError


@pytest.fixture
def mailer(tmp_path):
    opened = []

    def make(url):
        opened.append(Mailer(load(tmp_path, {"TINYBASE_MAIL_URL": url})))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def send(mailer, text="Hello"):
    mailer.soon(lambda: mailer.message("ann@example.com", "A greeting", text))
    mailer.close()


def test_the_console_transport_writes_to_the_log(mailer, caplog):
    caplog.set_level(logging.INFO, "tinybase.mail")

    send(mailer("console:"))

    assert "Mail to ann@example.com: A greeting\nHello" in caplog.text


@pytest.mark.parametrize("url", ["file:mails", "file://mails", "file:{tmp_path}/mails"])
def test_the_file_transport_writes_one_file_a_message(mailer, tmp_path, url):
    send(mailer(url.format(tmp_path=tmp_path)), "http://example.com/" + "x" * 200)

    (file,) = (tmp_path / "mails").iterdir()
    assert file.suffix == ".eml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "http://example.com/" + "x" * 200 in file.read_text().splitlines()


class _Server(socketserver.StreamRequestHandler):
    """As much of a mail server as it takes to receive one message."""

    def handle(self):
        received = self.server.received
        self.wfile.write(b"220 mail.example\r\n")
        for line in self.rfile:
            received.append(line.decode().rstrip("\r\n"))
            command = line[:4].upper()
            if command == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            if command == b"EHLO":
                self.wfile.write(b"250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n")
            elif command == b"AUTH":
                self.wfile.write(b"235 welcome\r\n")
            elif command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while (line := self.rfile.readline()) != b".\r\n":
                    received.append(line.decode().rstrip("\r\n"))
                self.wfile.write(b"250 thanks\r\n")
            else:
                self.wfile.write(b"250 fine\r\n")


@pytest.fixture
def server():
    with socketserver.TCPServer(("127.0.0.1", 0), _Server) as server:
        server.received = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_smtp_transport_signs_in_and_delivers(mailer, server):
    port = server.server_address[1]

    send(mailer(f"smtp://an%40n:p%3Ass@127.0.0.1:{port}"))

    # an@n and p:ss, as AUTH PLAIN sends them.
    assert "AUTH PLAIN AGFuQG4AcDpzcw==" in server.received
    assert "rcpt TO:<ann@example.com>" in server.received
    assert "Hello" in server.received


def test_one_mail_that_fails_does_not_stop_the_next(mailer, tmp_path, caplog):
    files = mailer("file:mails")
    files.soon(lambda: 1 / 0)

    send(files)

    assert "ZeroDivisionError" in caplog.text
    assert len(list((tmp_path / "mails").iterdir())) == 1


@pytest.mark.parametrize(
    "url",
    ["", "file:", "smtp:", "smtp://", "smtp://host:port", "smtp://[::1", "http://example.com", "x"],
)
def test_an_address_that_is_none_is_refused_with_the_remedy(tmp_path, url):
    with pytest.raises(ConfigError, match="Write console:, file:FOLDER"):
        transport(load(tmp_path, {"TINYBASE_MAIL_URL": url}))
