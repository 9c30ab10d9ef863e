"""Clients by what they say of themselves, and what the trail's summary calls them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    name: str
    version: str
    user_agent: str


PHONE = Client("Element X", "1.9.0", "Element X/1.9.0 (iPhone15,2; iOS 17.0; Scale/3.00)")
OLD_PHONE = Client("Element X", "1.7.2", "Element X/1.7.2 (iPhone12,1; iOS 16.4; Scale/2.00)")
WEB = Client("Firefox", "140.0", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
DESKTOP = Client(
    "Element",
    "1.12.4",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Element/1.12.4"
    " Chrome/140.0.0.0 Electron/38.2.0 Safari/537.36",
)
NHEKO = Client("nheko", "0.11.3", "nheko/0.11.3")
CURL = Client("curl", "7.88.1", "curl/7.88.1")
