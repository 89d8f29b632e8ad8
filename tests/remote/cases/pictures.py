"""Faults of links and downloads."""

from __future__ import annotations

import base64

from image_mixer.tests.remote.cases.shapes import ALWAYS, HTML, PNG, Case, answer, pending, success
from image_mixer.tests.standin.state import Fault
from image_mixer.tests.support.pictures import coloured

BOMB = PNG + b"\x00\x00\x00\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00" + bytes(32)
INLINE = base64.b64encode(coloured(size=(256, 256)).pixels).decode()


def _never(link: str) -> tuple[Fault, ...]:
    """Return faults of a job whose only link can never work."""
    return (pending(), answer("fetch", {"status": "success", "output": [link]}, times=ALWAYS))


IMAGE = (
    Case("late link", (), "images", manners={"links_late": 0.8}),
    Case("404 for ever", (answer("image", "", 404, times=ALWAYS),), "job failed", "paid for"),
    Case("image 500 twice", (answer("image", HTML, 500, times=2),), "images"),
    Case("image reset", (Fault("image", "reset", times=2),), "images"),
    Case("image cut", (Fault("image", "cut"),), "images"),
    Case(
        "image trickle",
        (Fault("image", "trickle", seconds=0.05, times=ALWAYS),),
        "service down",
        limits={"download": 2.0},
    ),
    Case("wrong content type", (), "images", before="wrong type", manners={"inline": True}),
    Case("base64 text", (), "images", before="base64", manners={"inline": True}),
    Case("image a page", (answer("image", HTML, times=ALWAYS),), "job failed", "not a PNG"),
    Case("image truncated", (answer("image", PNG + b"\x00\x00\x00\rIHDR", times=ALWAYS),), "job failed", "broken"),
    Case(
        "image huge",
        (answer("image", b"", times=ALWAYS, headers={"Content-Length": "2000000000"}),),
        "job failed",
        "larger than",
    ),
    Case("image bomb", (answer("image", BOMB, times=ALWAYS),), "job failed", "60000"),
    Case(
        "redirect to a private host",
        (answer("image", "", 302, times=ALWAYS, headers={"Location": "{evil}"}),),
        "job failed",
        "not allowed",
    ),
    Case("redirect home", (answer("image", "", 302, headers={"Location": "/images/1001-0.png"}),), "images"),
    Case(
        "redirect for ever",
        (answer("image", "", 302, times=ALWAYS, headers={"Location": "/images/1-0.png"}),),
        "job failed",
        "redirects",
    ),
    Case("link to a private host", _never("{evil}/i.png"), "job failed", "not allowed"),
    Case("link to a file, then a good one", (success(output=["file:///etc/passwd"]),), "images"),
    Case("link to a file for ever", _never("file:///etc/passwd"), "job failed", "paid for"),
    Case("link with a user name", _never("https://me@a.example/i.png"), "job failed", "paid for"),
    Case("link that is a script", _never("javascript:alert(1)"), "job failed", "paid for"),
    Case("base64 that is not a picture", _never("data:image/png;base64,aGVsbG8="), "job failed", "paid for"),
    Case(
        "base64 picture as a link",
        (success(output=[f"data:image/png;base64,{INLINE}"]),),
        "images",
        manners={"inline": True},
    ),
    Case("base64 picture without data:", (success(output=[INLINE]),), "images", manners={"inline": True}),
)
