"""Which texts are plain http(s) URLs, and why others are not."""

from __future__ import annotations

import pytest
from image_mixer.mixing.urls import BadURL, Origin, is_plain_url, origin_of, plain_origin


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", Origin("https", "a.example", 443)),
        ("HTTP://A.Example.:8000/x?y#z", Origin("http", "a.example", 8000)),
        ("https://[::1]:9/", Origin("https", "::1", 9)),
    ],
)
def test_the_origin_of_a_plain_url(url: str, origin: Origin) -> None:
    assert plain_origin(url) == origin_of(url) == origin and is_plain_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "file on the service's machine"),
        ("C:\\out\\1.png", "file on the service's machine"),
        ("https://user@public.example/", "user name"),
        ("https://user:word@public.example/", "user name"),
        ("ftp://public.example/", r"not https \(ftp\)"),
        ("javascript:alert(1)", "not https"),
        ("data:text/html,<b>", "data URI"),
        ("DATA:image/png;base64,AAAA", "data URI"),
        ("", "no scheme"),
        ("//a.example", "no scheme"),
        ("/images/1.png", "no scheme"),
        ("iVBORw0KGgo", "no scheme"),
        ("https://", "no host"),
        ("https:///a", "no host"),
        ("https://[fe80::1%25eth0]/", "no host"),
        ("https://a.example/x y", "characters"),
        ("https://a.example/\n", "characters"),
        ("https://a.exa\u0301mple/", "characters"),
        ("https://public.example\\@inside.example/", "characters"),
        ("https://a.example/\ud800", "characters"),
        ("https://public.example:99999/", "host or port"),
        ("https://[::1/", "host or port"),
        ("https://a:b/", "host or port"),
        ("https://a.example/" + "x" * 9000, "longer than 4096"),
    ],
)
def test_what_is_not_a_plain_url_says_why(url: str, reason: str) -> None:
    assert origin_of(url) is None
    with pytest.raises(BadURL, match=reason):
        plain_origin(url)
