"""What people read of an HTML file."""

import pytest

from semsearch.cli.html_text import text_of_html


@pytest.mark.parametrize(
    ("markup", "text", "title"),
    [
        ("<p>one</p>two<br>three<li>four", "one\ntwo\nthree\nfour", ""),
        ("a<b>b</b>c <i>d</i>", "abc d", ""),
        ("<title> On\n tides </title><h1>Tides</h1>", "Tides", "On tides"),
        ("<p>a</p><script>if (a < b) x()</script><style>p{}</style>b", "a\nb", ""),
        ("<svg><title>icon</title><g></svg>after", "after", ""),
        ("<noscript><p>x<svg></noscript>after", "after", ""),
        ("</script>a &amp; b&nbsp; c", "a & b c", ""),
        ("<tr><th>Tide</th><td>high</td></tr><tr><td>low", "Tide high\nlow", ""),
        ("fish & chips &am", "fish & chips &am", ""),
        ("", "", ""),
    ],
)
def test_text_and_title(markup: str, text: str, title: str) -> None:
    assert text_of_html(markup) == (text, title)
