"""The one door through which the program asks anything of a network by a URL that somebody else wrote.

`urls` reads a URL strictly, `addresses` says which addresses are out of bounds, `request` opens the connection, follows redirects
and holds the caps. Package clients (pip, apt-get, npm) are programs of their own and do not pass here.
"""
