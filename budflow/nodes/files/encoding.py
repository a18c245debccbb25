"""How the characters of a text file may be encoded: so that a line ends at the byte 10, whatever stands in it."""

from typing import Literal

Encoding = Literal["utf-8", "latin-1", "windows-1252"]
