"""`python -m console` is `coalmine`.

`coalmine up` starts its web process like this, so that it runs with the same interpreter and packages.
"""

from console.cli import main

main()
