"""Where webhooks go and where they do not, and how long that may take."""

import base64
import socket
import threading
import time

import pytest
from tinybase_webhooks.network import Refused, check_address, check_url, post
from tinybase_webhooks.signing import headers, key_of, shown


def test_a_signature_is_that_of_the_reference_implementations():
    """The key, message and signature that the libraries of Standard Webhooks are tested with."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key])
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_endpoint_has_a_secret_of_its_own():
    secrets = {shown(key_of("sesame", endpoint)) for endpoint in ("a", "b")}
    assert len(secrets) == 2
    assert all(secret.startswith("whsec_") for secret in secrets)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
    ],
)
def test_an_address_that_is_not_public_is_refused(address):
    with pytest.raises(Refused, match="allowed_networks"):
        check_address(address, [])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_passes(address):
    check_address(address, [])


def test_a_network_that_the_operator_allows_passes_and_no_other():
    check_address("10.1.2.3", ["10.1.0.0/16"])
    check_address("::ffff:10.1.2.3", ["10.1.0.0/16"])
    with pytest.raises(Refused):
        check_address("10.2.0.1", ["10.1.0.0/16"])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "example.com",
        "https://ann:secret@example.com/",
        "https://example.com:99999/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "http://[::1",
    ],
)
def test_what_is_no_address_of_a_web_server_is_refused(url):
    with pytest.raises(Refused):
        check_url(url)


def test_a_name_is_judged_by_the_address_it_stands_for(monkeypatch):
    asked = []

    def resolve(host, port, **_):
        asked.append(host)
        public, private = (socket.AF_INET, 1, 6, "", ("8.8.8.8", port)), ("10.0.0.1", port)
        return [public, (socket.AF_INET, 1, 6, "", private)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("it connected"))
    with pytest.raises(Refused, match=r"10\.0\.0\.1"):
        post("https://innocent.example/", b"", {}, seconds=5, allowed=[])
    assert asked == ["innocent.example"], "asked again, it could say something else"


def test_a_receiver_that_drips_is_cut_off_at_the_deadline():
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip():
        with listener.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"X-Drip: 1\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
            post(url, b"{}", {}, seconds=0.3, allowed=["127.0.0.0/8"])
        assert time.monotonic() - began < 3
    finally:
        over.set()
        thread.join()
        listener.close()
