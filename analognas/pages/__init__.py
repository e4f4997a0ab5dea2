"""The report as one page that opens without network: figures, the winner drawn, where everything comes from.

from analognas.pages import write_page
write_page(Paths.find())      # data/report.html
"""

from analognas.pages.content import Content, read
from analognas.pages.page import html, write_figures, write_page

__all__ = ["Content", "html", "read", "write_figures", "write_page"]
